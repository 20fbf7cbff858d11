from __future__ import annotations

import os
import signal
import sys
import uuid
from typing import TYPE_CHECKING

import pytest
import trio

from support.program import is_running, until
from trioworker.linux.procfs import process_table
from trioworker.linux.syscalls import become_subreaper
from trioworker.worker.processes.orphans import terminate_orphans
from trioworker.worker.processes.ownership import CALL_VARIABLE, job_mark
from worker.processes.conftest import TIMEOUT, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

STARTED_AT = 1_700_000_000.25
WORKER = """
import os, sys, trio
from pathlib import Path
from trioworker import WorkerConfig
from trioworker.worker.processes.ownership import job_mark
from trioworker.worker.processes.processes import Processes
from trioworker.worker.processes.sandbox.sandbox import open_sandbox

async def main(job, command, folder):
    config = WorkerConfig(job_id=job, token="x", workspace=Path(folder), containment=sys.argv[5])
    with open_sandbox(config) as sandbox:
        await work(job_mark(job, float(sys.argv[4])), sandbox, command, folder)

async def work(mark, sandbox, command, folder):
    async with Processes(mark, sandbox) as processes:
        directory = os.open(folder, os.O_RDONLY)
        await processes.run(["sh", "-c", command], directory=directory, environment=dict(os.environ), timeout=60)
        await trio.sleep_forever()

trio.run(main, *sys.argv[1:4])
"""
"""Runs one command of a job, then waits to be killed."""
REPORT_PID = "echo $$ > child; exec sleep 300"


def kill_with_helper(worker: int) -> None:
    """Kill a worker, and first the child in its session, which would clean up."""
    for entry in process_table().get(worker, []):
        if entry.session == worker:
            os.kill(entry.pid, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)


def kill_group(worker: int) -> None:
    """Kill the process group of a worker."""
    os.killpg(worker, signal.SIGKILL)


@pytest.fixture
def job() -> str:
    """A unique job id; other test runs may share this machine."""
    return str(uuid.uuid4())


async def left_by_killed_worker(
    command: str, job: str, folder: Path, containment: str = "off", kill: Callable[[int], None] = kill_with_helper
) -> int:
    """Run the command in a worker, kill the worker, and return the pid of the process that the command leaves."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    worker = await trio.lowlevel.open_process(
        [sys.executable, "-c", WORKER, job, command, str(folder), str(STARTED_AT), containment],
        env=environment,
        start_new_session=True,
    )
    try:
        child = await written(folder / "child")
        assert is_running(child)
    finally:
        kill(worker.pid)
        with trio.CancelScope(shield=True):
            await worker.wait()
    return child


@pytest.mark.parametrize(
    "command",
    [
        f"sh -c '{REPORT_PID}' & wait",
        f"sh -c '{REPORT_PID}' &",
        f"setsid sh -c '{REPORT_PID}' &",
        f"env -i sh -c '{REPORT_PID}' & sleep 300",
        f"sh -c \"setsid env -i sh -c '{REPORT_PID.replace('$', chr(92) + '$')}' & sleep 300\" &",
        f"trap '' TERM; sh -c '{REPORT_PID}' & wait",
    ],
    ids=[
        "running",
        "background",
        "session",
        "without-environment",
        "child-without-both",
        "ignores-sigterm",
    ],
)
async def test_orphans_of_a_killed_worker_are_terminated(command: str, job: str, tmp_path: Path) -> None:
    child = await left_by_killed_worker(command, job, tmp_path)
    with trio.fail_after(TIMEOUT):
        await terminate_orphans(job_mark(job, STARTED_AT))
    assert not is_running(child)


async def test_orphans_with_the_mark_of_another_job_are_terminated_by_their_tag(job: str, tmp_path: Path) -> None:
    mark = f"{CALL_VARIABLE}=other@1.0#0"
    child = await left_by_killed_worker(f"setsid env -i {mark} sh -c '{REPORT_PID}' &", job, tmp_path, "auto")
    with trio.fail_after(TIMEOUT):
        await terminate_orphans(job_mark(job, STARTED_AT))
    assert not is_running(child)


@pytest.mark.parametrize(
    ("containment", "command"),
    [
        ("off", f"(setsid sh -c '(setsid sh -c \"{REPORT_PID.replace('$', chr(92) + '$')}\" &)' &)"),
        ("auto", f"setsid env -i sh -c '{REPORT_PID}' &"),
    ],
    ids=["without-sandbox", "sandbox"],
)
async def test_worker_whose_group_is_killed_leaves_no_process(
    containment: str, command: str, job: str, tmp_path: Path
) -> None:
    child = await left_by_killed_worker(command, job, tmp_path, containment, kill_group)
    await until(lambda: not is_running(child))


async def test_orphans_get_sigterm_first(job: str, tmp_path: Path) -> None:
    # The shell reports the end of its child on stderr, and would die of SIGPIPE: its reader is dead.
    command = "exec 2>&-; trap 'echo cleaned > cleanup; exit' TERM; echo $$ > child; while :; do sleep 0.01; done"
    await left_by_killed_worker(command, job, tmp_path)
    await terminate_orphans(job_mark(job, STARTED_AT))
    assert (tmp_path / "cleanup").read_text() == "cleaned\n"


@pytest.mark.parametrize(
    ("same_name", "started_at"), [(True, STARTED_AT + 1), (False, STARTED_AT)], ids=["earlier-run", "other-job"]
)
async def test_processes_of_other_jobs_are_kept(same_name: bool, started_at: float, job: str, tmp_path: Path) -> None:
    child = await left_by_killed_worker(f"sh -c '{REPORT_PID}' &", job, tmp_path)
    await terminate_orphans(job_mark(job if same_name else f"{job}-2", started_at))
    assert is_running(child)
    os.kill(child, signal.SIGKILL)


async def test_processes_of_our_own_session_are_kept(job: str) -> None:
    mark = {CALL_VARIABLE: f"{job_mark(job, STARTED_AT)}#0"}
    process = await trio.lowlevel.open_process(["sleep", "300"], env={**os.environ, **mark})
    await terminate_orphans(job_mark(job, STARTED_AT))
    assert process.poll() is None
    process.kill()
    await process.wait()


async def test_orphans_that_were_reparented_to_us_are_reaped(job: str, tmp_path: Path) -> None:
    become_subreaper()
    child = await left_by_killed_worker(f"setsid sh -c '{REPORT_PID}' & sleep 300", job, tmp_path)
    await terminate_orphans(job_mark(job, STARTED_AT))
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


async def test_without_orphans_nothing_is_awaited(job: str, autojump_clock: MockClock) -> None:
    start = trio.current_time()
    await terminate_orphans(job_mark(job, STARTED_AT))
    assert trio.current_time() == start
