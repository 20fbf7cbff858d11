"""Signals of every kind, at every moment: the job is reported as cancelled, unless the signal was ignored."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from support.program import in_shell, started, until
from support.realjob import real_job, real_orchestrator, real_worker
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from starlette.responses import Response

    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

WAIT = "touch began; while [ ! -e sent ]; do sleep 0.05; done"
SLEEP = "touch began; sleep 300"
SIGNALS = [signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGXCPU, signal.SIGRTMIN]


def handles_signals(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM."""
    mask = Path(f"/proc/{pid}/status").read_text().partition("SigCgt:")[2].split()[0]
    return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("number", SIGNALS)
async def test_signal_cancels_the_job_and_it_is_reported(store: Store, workspace: Path, number: signal.Signals) -> None:
    async with real_job(store, workspace, [call("shell", command=SLEEP), DONE]) as job:
        await until((workspace / "began").exists)
        job.program.signal(number)
        ended = await job.ended()

        assert job.survivors() == {}
        assert job.view.state == "cancelled"
        assert job.report.message == f"Execution stopped: stopped by {number.name}"
    assert ended.code == 4, ended.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_signal_before_the_imports_cancels_the_job(store: Store, workspace: Path, number: signal.Signals) -> None:
    async with real_job(store, workspace, [DONE]) as job:
        await until(lambda: handles_signals(job.program.pid))
        job.program.signal(number)
        ended = await job.ended()

        assert job.view.state == "cancelled"
    assert ended.code == 4, ended.err
    assert job.model.requests == []


async def test_worker_that_sigterm_suspends_is_resumed(store: Store, workspace: Path) -> None:
    turns = [call("shell", command="echo first >> log"), call("shell", command=f"touch began; {WAIT}"), DONE]
    options = ("--state-dir", str(workspace.parent / "state"), "--on-sigterm", "suspend")
    async with real_job(store, workspace, turns, *options) as job:
        await until((workspace / "began").exists)
        job.program.signal(signal.SIGTERM)
        suspended = await job.ended()

        assert job.survivors() == {}
        assert (suspended.code, job.view.ended) == (3, None)
        assert suspended.err.splitlines()[-1].startswith("trioworker: suspended by SIGTERM; the job was not reported")
        assert job.events[-1][1]["message"] == "The worker was suspended by SIGTERM; the next one resumes the job"

        (workspace / "sent").touch()
        async with job.start():
            resumed = await job.ended()

        assert job.report.success
    assert resumed.code == 0, resumed.err
    assert (workspace / "log").read_text() == "first\n"


async def test_nohup_keeps_a_local_job_from_its_terminals_end(workspace: Path) -> None:
    script = workspace.parent / "turns.json"
    script.write_bytes(msgspec.json.encode([call("shell", command=WAIT), DONE]))
    command = ("local", "Wait.", "--workspace", str(workspace), "--llm", f"script:{script}")
    async with started(*command, prefix=("nohup",)) as program:
        await until((workspace / "began").exists)
        program.signal(signal.SIGHUP)
        (workspace / "sent").touch()
        ended = await program.ended()

    assert ended.code == 0, ended.err
    assert "\ncompleted (" in ended.out


async def test_ignored_sighup_does_not_stop_the_job(store: Store, workspace: Path) -> None:
    turns = [call("shell", command=WAIT), DONE]
    async with (
        real_orchestrator(store, turns) as orchestrator,
        real_worker(orchestrator, workspace, prefix=in_shell("", "trap '' HUP;")) as job,
    ):
        await until((workspace / "began").exists)
        job.program.signal(signal.SIGHUP)
        (workspace / "sent").touch()
        ended = await job.ended()

        assert job.view.state == "completed"
    assert ended.code == 0, ended.err


async def test_signal_after_the_report_does_not_change_the_exit_code(store: Store, workspace: Path) -> None:
    async def stop_before_answering(_: str, path: str) -> Response | None:
        if path == "complete":
            for _each in range(3):
                job.program.signal(signal.SIGUSR1)
        return None

    async with real_job(store, workspace, [DONE]) as job:
        job.orchestrator.intervene = stop_before_answering
        ended = await job.ended()

    assert ended.code == 0, ended.err
    assert ended.outcome["status"] == "completed"
