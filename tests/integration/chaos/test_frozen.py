"""Workers that are frozen while they wait, until after the time-out of what they wait for."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio

from support.process_invariants import process_violations
from support.program import until
from support.realjob import real_orchestrator
from support.restartable import restartable_job
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.responses import Response

    from support.program import Program
    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

COMMAND = "echo CALL_ID >> log; sleep 0.5; echo it ended"
OUTER_LIMIT = 1.0 + 13.5
"""Seconds until the tool's time limit: the command's own time-out and the time to terminate it."""


async def freeze(worker: Program, seconds: float) -> None:
    worker.signal(signal.SIGSTOP)
    await trio.sleep(seconds)
    worker.signal(signal.SIGCONT)


async def test_command_that_ended_while_the_worker_was_frozen_counts_as_ended(store: Store, tmp_path: Path) -> None:
    turn = call("shell", command=COMMAND, timeout=1)
    async with (
        real_orchestrator(store, [turn, DONE]) as orchestrator,
        restartable_job(orchestrator, tmp_path / "job") as job,
        job.start() as worker,
    ):
        await until(lambda: job.lines)
        await freeze(worker, OUTER_LIMIT + 2)
        ended = await worker.ended()
        assert ended.code == 0, ended.err
        assert [result["output"] for result in job.of_type("tool_result")] == ["it ended"]
        assert process_violations(job) == []


async def test_command_that_still_runs_after_the_freeze_times_out(store: Store, tmp_path: Path) -> None:
    turn = call("shell", command="echo CALL_ID >> log; sleep 300", timeout=1)
    async with (
        real_orchestrator(store, [turn, DONE]) as orchestrator,
        restartable_job(orchestrator, tmp_path / "job") as job,
        job.start() as worker,
    ):
        await until(lambda: job.lines)
        await freeze(worker, 3)
        ended = await worker.ended()
        assert ended.code == 0, ended.err
        assert "timed out after 1 s" in job.of_type("tool_result")[0]["output"]
        assert process_violations(job) == []


async def test_reply_of_the_model_that_arrived_while_the_worker_was_frozen_is_used(
    store: Store, tmp_path: Path
) -> None:
    asked = trio.Event()

    async def think(_method: str, path: str) -> Response | None:
        if path.startswith("llm/"):
            asked.set()
            await trio.sleep(0.5)
        return None

    async with (
        real_orchestrator(store, [DONE]) as orchestrator,
        restartable_job(orchestrator, tmp_path / "job") as job,
    ):
        orchestrator.intervene = think
        async with job.start("--llm-timeout", "2") as worker:
            await asked.wait()
            await freeze(worker, 4)
            ended = await worker.ended()
        assert ended.code == 0, ended.err
        assert [path for _, path in orchestrator.requests if path.startswith("llm/")] == ["llm/complete_with_tools"]
