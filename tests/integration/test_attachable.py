"""`--attachable`: who can read the worker's memory with the option and without it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.program import ran, until
from support.realjob import real_orchestrator, real_worker
from support.sandboxes import needs_landlock
from support.users import AS_OTHER_USER, LIBRARIES, home_of, python_for
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

USER = AS_OTHER_USER if os.getuid() == 0 else ()
"""Not root, which can read all memory."""
READ_PARENT = (
    "head -c 0 /proc/$PPID/mem 2> refusal && echo reached > refusal; mv refusal seen; "
    "while [ ! -e go ]; do sleep 0.05; done"
)


@pytest.mark.parametrize(
    ("options", "reached", "seen"),
    [
        pytest.param((), False, "Permission denied", id="closed"),
        pytest.param(("--attachable",), True, "Permission denied", id="attachable", marks=needs_landlock),
        pytest.param(("--attachable", "--containment", "off"), True, "reached", id="attachable-without-sandbox"),
    ],
)
async def test_memory_is_open_to_the_user_if_the_worker_is_attachable_but_not_to_sandboxed_commands(
    store: Store, options: tuple[str, ...], reached: bool, seen: str
) -> None:
    turns = [call("shell", command=READ_PARENT), DONE]
    with home_of(USER) as home:
        workspace, environment = home / "workspace", {"HOME": str(home), **LIBRARIES}
        python = python_for(USER)
        async with (
            real_orchestrator(store, turns) as orchestrator,
            real_worker(orchestrator, workspace, *options, environment=environment, prefix=USER, python=python) as job,
        ):
            await until((workspace / "seen").exists)
            read = [*USER, "head", "-c", "0", f"/proc/{job.program.pid}/mem"]
            outsider = subprocess.run(read, capture_output=True, check=False)  # noqa: ASYNC221 - it takes a few ms
            (workspace / "go").touch()
            ended = await job.ended()
        by_command = (workspace / "seen").read_text()

    assert ended.code == 0, ended.err
    assert (outsider.returncode == 0) == reached, outsider.stderr
    assert seen in by_command
    warnings = [line for line in ended.err.splitlines() if "--attachable: " in line]
    assert len(warnings) == bool(options)
    if options:
        assert ("and so can the job's commands" in warnings[0]) == (seen == "reached")


async def test_local_passes_the_option_to_its_worker(tmp_path: Path, workspace: Path) -> None:
    turns = tmp_path / "turns.yaml"
    turns.write_text("- content: The job is complete.\n")
    places = ("--workspace", str(workspace), "--state-dir", str(tmp_path / "state"))
    ended = await ran("local", "Say it.", "--llm", f"script:{turns}", "--attachable", *places)
    assert ended.code == 0, ended.err
    assert "--attachable: " in ended.err
