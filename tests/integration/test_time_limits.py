"""The time limits of a tool and of a job: their processes are terminated.

A busy machine may need longer than a short limit to get to the point of a test. So each test starts with a short limit,
and tries again with a longer one if the limit was reached too early.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.program import WAIT_TIMEOUT
from support.realjob import real_job
from trioworker.testing import DONE, call, reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.program import Ended
    from support.realjob import RealJob
    from trioworker.orchestrator.store import Store
    from trioworker.testing import Turn

pytestmark = pytest.mark.integration

LIMITS = (1.5, 6.0, 24.0)
"""Seconds, tried in this order."""
TREE = (
    "echo so far; touch started; (sleep 300; true) & setsid -f sleep 300; trap '' TERM; while true; do sleep 0.2; done"
)
"""A child, an orphan in a session of its own, and a shell that ignores SIGTERM."""


async def run_to_deadline(
    store: Store, workspace: Path, turns: list[Turn], reached: Callable[[RealJob], object]
) -> tuple[RealJob, Ended]:
    """Run a job that reaches the point of the test before its deadline."""
    for seconds in LIMITS:
        async with real_job(store, workspace, turns, "--timeout", str(seconds)) as job:
            ended = await job.ended()
            assert job.survivors() == {}
        if reached(job):
            assert seconds <= ended.seconds < seconds + WAIT_TIMEOUT
            return job, ended
    raise AssertionError(f"too slow: not reached within {LIMITS[-1]} s")


async def test_tool_that_times_out_is_terminated_with_its_tree_and_the_job_continues(
    store: Store, workspace: Path
) -> None:
    survivors: list[dict[int, str]] = []
    message = ""
    for seconds in LIMITS:
        survivors.clear()
        turns = [call("shell", command=TREE, timeout=seconds), DONE]
        async with real_job(store, workspace, turns) as job:

            async def check_survivors(number: int, job: RealJob = job) -> None:
                if number == 2:
                    survivors.append(job.survivors())

            job.model.before_reply = check_survivors
            ended = await job.ended()
        assert ended.code == 0, ended.err
        (message,) = job.model.received("tool")
        (result,) = job.of_type("tool_result")
        assert survivors == [{}]
        assert not result["success"]
        assert result["output"].startswith(f"Error: timed out after {seconds:g} s")
        if (workspace / "started").exists():
            assert f"Error: timed out after {seconds:g} s; output until then:\nso far" in message
            return
    raise AssertionError(f"too slow: no output within {LIMITS[-1]} s")


async def test_job_that_reaches_its_deadline_is_reported(store: Store, workspace: Path) -> None:
    turns = [call("shell", command=TREE), DONE]
    job, ended = await run_to_deadline(store, workspace, turns, lambda _: (workspace / "started").exists())

    assert ended.code == 1, ended.err
    assert (ended.outcome["status"], ended.outcome["message"]) == ("stuck", "Execution timed out")
    assert job.report.message == "Execution timed out"
    assert job.view.state == "stuck"


async def test_job_whose_model_never_answers_reaches_its_deadline(store: Store, workspace: Path) -> None:
    turns = [reply(call("list_dir"), delay=300)]
    job, ended = await run_to_deadline(store, workspace, turns, lambda job: job.model.requests)

    assert ended.code == 1, ended.err
    assert job.report.message == "Execution timed out"
