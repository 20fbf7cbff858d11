"""A worker with little of something: file descriptors, address space, or room in its workspace, state or temporary
folder. The job ends with a report, or with one line that says what is missing.
"""

from __future__ import annotations

import os
import resource
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from support.memory import calls, measured
from support.program import TOKEN_VARIABLE, ran
from support.realjob import real_orchestrator, real_worker
from trioworker.protocol.limits import MIB
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from support.realjob import RealJob
    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

MIX = [
    calls(*[("read_file", {"path": "text"})] * 16, *[("grep", {"pattern": "words", "mode": "content"})] * 16),
    calls(*[("glob", {"pattern": "*"})] * 16, *[("list_dir", {"path": "."})] * 16),
    calls(
        ("shell", {"command": "cat text text; sleep 100 & echo started"}),
        ("write_file", {"path": "new", "content": "x\n" * 100_000}),
        ("apply_patch", {"path": "text", "old_string": "some", "new_string": "other", "replace_all": True}),
    ),
]
"""Calls of all tools, many of them side by side."""


@contextmanager
def small_disk(path: Path, size: int) -> Generator[None]:
    """A file system in memory with room for `size` bytes."""
    path.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(path)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"tmpfs can't be mounted: {error}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True, capture_output=True)


def fill(path: Path) -> None:
    """Leave no room on the disk of a folder."""
    size = os.statvfs(path).f_bavail * os.statvfs(path).f_frsize
    (path / "filler").write_bytes(bytes(size))


def errors(job: RealJob) -> list[str]:
    """The results of calls that failed, as people see them."""
    return [data["output"] for data in job.of_type("tool_result") if data["output"].startswith("Error: ")]


@pytest.mark.parametrize(
    ("kind", "limit"),
    [(resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_AS, 1024 * MIB)],
    ids=["64 descriptors", "1 GiB of addresses"],
)
async def test_job_with_a_resource_limit_is_reported(store: Store, workspace: Path, kind: int, limit: int) -> None:
    (workspace / "text").write_text("some words of a line\n" * 10_000)

    def restrict(pid: int) -> None:
        resource.prlimit(pid, kind, (limit, limit))

    async with measured(store, workspace, MIX, on_start=restrict) as measurement:
        job = measurement.job
        ended = await job.ended()

    assert ended.code == 0, ended.err
    assert job.report.success
    assert errors(job) == []


async def test_full_workspace_is_an_error_for_the_model(store: Store, workspace: Path) -> None:
    text = f"{'x' * 63}\n" * (MIB // 16)
    with small_disk(workspace, 10 * MIB):
        replies = [
            calls(*[("write_file", {"path": f"file{number}", "content": text}) for number in range(3)]),
            calls(("apply_patch", {"path": "file0", "old_string": "x\n", "new_string": "y\n", "replace_all": True})),
            calls(("shell", {"command": "head -c 10000000 /dev/zero > zeros"})),
        ]
        async with measured(store, workspace, replies) as measurement:
            job = measurement.job
            ended = await job.ended()
        left = sorted(os.listdir(workspace))

    assert ended.code == 0, ended.err
    assert job.report.success
    assert errors(job) == [
        "Error: cannot write file2: no space left on the device",
        "Error: cannot write file0: no space left on the device",
    ]
    # No temporary file is left.
    assert left == ["file0", "file1", "zeros"]


async def test_job_whose_journal_fills_its_disk_is_reported(store: Store, workspace: Path, tmp_path: Path) -> None:
    replies = [calls(("write_file", {"path": "new", "content": "x\n" * 200_000}))] * 4
    with small_disk(tmp_path / "state", MIB):
        async with measured(store, workspace, replies, "--state-dir", str(tmp_path / "state")) as measurement:
            job = measurement.job
            ended = await job.ended()

    assert ended.code == 0, ended.err
    assert job.report.success
    (line,) = (line for line in ended.err.splitlines() if "ERROR" in line)
    assert "recording stopped, so this job can't be resumed" in line
    assert "No space left on device" in line


async def test_journal_that_cannot_be_begun_is_one_line(store: Store, workspace: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    created = store.create_job("x", title="x")
    with small_disk(state, MIB):
        fill(state)
        async with real_orchestrator(store) as orchestrator:
            at = ("--job-id", created.id, "--orchestrator-url", orchestrator.url, "--workspace", str(workspace))
            ended = await ran("worker", *at, "--state-dir", str(state), environment={TOKEN_VARIABLE: created.token})

    assert ended.code == 2
    assert "No space left on device" in ended.complaint


async def test_output_that_cannot_be_kept_is_shown_with_the_reason(
    store: Store, workspace: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "temporary"
    turns = [call("shell", command="seq 100000"), DONE]
    with small_disk(folder, MIB // 8):
        async with (
            real_orchestrator(store, turns) as orchestrator,
            real_worker(orchestrator, workspace, environment={"TMPDIR": str(folder)}) as job,
        ):
            ended = await job.ended()

    assert ended.code == 0, ended.err
    (result,) = job.model.received("tool")
    assert "the full output was not kept" in result
    assert "No space left on device" in result
