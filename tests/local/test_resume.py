"""`trioworker local` after SIGKILL: the same command resumes the job, and only one of two does."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import trio

from support.program import Ended, ran, started, survivors, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

ANSWER = "The answer is 42. The job is complete."


def command(workspace: Path) -> tuple[str, ...]:
    """A job whose second and third command wait for the file `go`."""
    wait = "touch started; until test -e go; do sleep 0.1; done"
    commands = ("echo 1 >> once", wait, wait)
    turns = [{"tool_calls": [{"name": "shell", "arguments": {"command": each}}]} for each in commands]
    script = workspace.parent / "turns.json"
    script.write_text(json.dumps([*turns, {"content": ANSWER}]))
    options = (
        "--workspace",
        str(workspace),
        "--llm",
        f"script:{script}",
        "--state-dir",
        str(workspace.parent / "state"),
    )
    return ("local", "Find the answer.", *options, "--timeout", "60")


def workers(workspace: Path) -> list[int]:
    """The workers, which are recognised by their arguments."""
    found: list[int] = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline") as file:
                arguments = file.read().split("\0")
        except OSError:
            continue
        if "--orchestrator-url" in arguments and str(workspace) in arguments:
            found.append(int(name))
    return found


async def killed(workspace: Path, *, with_worker: bool) -> None:
    """Run the job until its second command, and kill it."""
    async with started(*command(workspace)) as program:
        await until((workspace / "started").exists)
        if with_worker:
            # Stopped first, it can't start another worker in between.
            program.signal(signal.SIGSTOP)
            for pid in workers(workspace):
                os.kill(pid, signal.SIGKILL)
        program.signal(signal.SIGKILL)
        await program.ended()


def states(workspace: Path) -> list[tuple[str, bool]]:
    with closing(sqlite3.connect(workspace.parent / "state" / "jobs.sqlite")) as database:
        return database.execute("SELECT state, ended IS NOT NULL FROM jobs").fetchall()


async def test_a_job_whose_local_was_killed_is_resumed_by_the_same_command(workspace: Path) -> None:
    await killed(workspace, with_worker=False)
    (workspace / "go").touch()
    resumed = await ran(*command(workspace), "--json")

    assert resumed.code == 0, resumed.out + resumed.err
    assert (workspace / "once").read_text() == "1\n"
    events = [json.loads(line) for line in resumed.out.splitlines()]
    assert f": {events[0]['number'] - 1} events earlier; --new starts over\n" in resumed.err
    assert events[0]["number"] > 2
    assert [event["number"] for event in events] == list(range(events[0]["number"], events[-1]["number"] + 1))
    assert states(workspace) == [("completed", True)]
    assert [path.name for path in (workspace.parent / "state").iterdir()] == ["jobs.sqlite"]
    assert survivors("no mark", workspace) == {}


async def test_two_commands_at_once_resume_a_killed_job_once(workspace: Path) -> None:
    await killed(workspace, with_worker=True)
    ended: list[Ended] = []

    async def run() -> None:
        ended.append(await ran(*command(workspace)))
        (workspace / "go").touch()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        nursery.start_soon(run)

    first, second = ended
    assert (first.code, second.code) == (2, 0), first.err + second.err
    assert "is running in process" in first.complaint
    assert "resumed job" in second.err
    assert ANSWER in second.out
    assert states(workspace) == [("completed", True)]
