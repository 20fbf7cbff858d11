"""A machine that starts no more threads, as when a command's processes use up a limit on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from support.program import ran
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from pathlib import Path

    from support.program import Ended

pytestmark = pytest.mark.integration

REFUSE = """
import sys, threading

start = threading.Thread.start

def refuse(thread):
    if thread.name in {allowed!r}:
        return start(thread)
    raise RuntimeError("can't start new thread")

threading.Thread.start = refuse
"""


async def run_without_threads(workspace: Path, *allowed: str) -> Ended:
    """Run a job with a command on a machine that starts only threads with these names."""
    (workspace.parent / "sitecustomize.py").write_text(REFUSE.format(allowed=allowed))
    script = workspace.parent / "turns.json"
    script.write_bytes(msgspec.json.encode([call("shell", command="true"), DONE]))
    at = ("--workspace", str(workspace), "--llm", f"script:{script}", "--log-level", "debug")
    watched = ("--health-socket", str(workspace.parent / "health.sock"), "--trace", str(workspace.parent / "trace"))
    return await ran("local", "Fix the parser.", *at, *watched, environment={"PYTHONPATH": str(workspace.parent)})


async def test_job_without_threads_is_reported(workspace: Path) -> None:
    ended = await run_without_threads(workspace, "containment")

    assert ended.code == 0, ended.err
    assert "Error: the system can't start another thread; end background commands, and try again\n" in ended.out
    assert "completed (" in ended.out
    for line in ("the trace will have no stalls of the event loop", "`trioworker tree` gets no answer while a comp"):
        assert ended.err.count(line) == 1, ended.err


async def test_worker_that_cannot_test_its_sandbox_is_one_line(workspace: Path) -> None:
    ended = await run_without_threads(workspace)

    assert ended.code == 2
    assert ended.err.splitlines() == [
        "trioworker: the sandbox can't be tested: can't start new thread; raise the limit on processes"
    ]
