"""Jobs that are stopped by a signal: reported within the grace period, with exit code 4 and no process left."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio

from support.program import WAIT_TIMEOUT, until
from support.realjob import real_job, real_orchestrator, real_worker
from trioworker.testing import DONE, call, reply

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.responses import Response

    from support.program import Ended
    from support.realjob import RealJob
    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

GRACE = 8.0
"""Maximum seconds from the signal to the exit: a container gets 10 before SIGKILL."""

PLAIN = "touch began; sleep 300"
IGNORING_SIGTERM = "trap '' TERM INT; touch began; while true; do sleep 0.2; done"
# In its own session, reparented, and with an empty environment, so that nothing marks it as the job's.
DETACHED = "(env -i setsid sh -c 'touch began; sleep 300' &) ; sleep 300"
IGNORING_SIGTERM_AND_DETACHED = (
    """(setsid sh -c 'trap "" TERM; touch began; while true; do sleep 0.2; done' &) ; sleep 300"""
)


async def stop_with(number: signal.Signals, job: RealJob) -> Ended:
    """Send the signal, and assert that the worker exits within the grace period."""
    start = trio.current_time()
    job.program.signal(number)
    ended = await job.ended()
    assert trio.current_time() - start < GRACE
    return ended


def assert_cancelled(job: RealJob, ended: Ended, number: signal.Signals) -> None:
    assert ended.code == 4, ended.err
    assert ended.outcome["status"] == "cancelled"
    assert job.view.state == "cancelled"
    assert not job.report.success
    assert job.report.message == f"Execution stopped: stopped by {number.name}"
    kind, result = job.events[-1]
    assert (kind, result["status"]) == ("result", "cancelled")
    assert job.orchestrator.requests[-1] == ("POST", "complete")
    assert job.survivors() == {}


@pytest.mark.parametrize("command", [PLAIN, IGNORING_SIGTERM, DETACHED, IGNORING_SIGTERM_AND_DETACHED])
async def test_sigterm_during_a_tool_cancels_the_job(store: Store, workspace: Path, command: str) -> None:
    async with real_job(store, workspace, [call("shell", command=command), DONE]) as job:
        await until((workspace / "began").exists)
        assert job.survivors() != {}
        ended = await stop_with(signal.SIGTERM, job)

        assert_cancelled(job, ended, signal.SIGTERM)
    assert len(job.of_type("tool_use")) == 1


async def test_sigint_during_a_tool_cancels_the_job(store: Store, workspace: Path) -> None:
    async with real_job(store, workspace, [call("shell", command=PLAIN), DONE]) as job:
        await until((workspace / "began").exists)
        ended = await stop_with(signal.SIGINT, job)

        assert_cancelled(job, ended, signal.SIGINT)


async def test_sigterm_during_a_request_to_the_model_cancels_both(store: Store, workspace: Path) -> None:
    async with real_job(store, workspace, [reply(call("list_dir"), delay=300)]) as job:
        await until(lambda: job.model.requests)
        ended = await stop_with(signal.SIGTERM, job)

        assert_cancelled(job, ended, signal.SIGTERM)
        # The request to the model was cancelled.
        await until(lambda: job.model.cancelled == 1)


async def test_a_background_process_of_an_earlier_call_is_terminated(store: Store, workspace: Path) -> None:
    turns = [call("shell", command="sleep 300 & echo $! > began"), reply(call("list_dir"), delay=300)]
    async with real_job(store, workspace, turns) as job:
        await until(lambda: len(job.model.requests) == 2)
        assert "sleep 300" in job.survivors().values()
        ended = await stop_with(signal.SIGTERM, job)

        assert_cancelled(job, ended, signal.SIGTERM)


async def test_a_second_signal_does_not_interrupt_the_shutdown(store: Store, workspace: Path) -> None:
    shutting_down, signals_sent = trio.Event(), trio.Event()

    async def hold_the_result(_: str, path: str) -> Response | None:
        if path == "event":
            shutting_down.set()
            await signals_sent.wait()
        return None

    async with real_job(store, workspace, [call("shell", command=PLAIN), DONE]) as job:
        await until((workspace / "began").exists)
        await job.until_event("tool_use")
        job.orchestrator.intervene = hold_the_result
        job.program.signal(signal.SIGTERM)
        with trio.fail_after(WAIT_TIMEOUT):
            await shutting_down.wait()
        job.program.signal(signal.SIGTERM)
        job.program.signal(signal.SIGINT)
        signals_sent.set()
        ended = await job.ended()

        assert_cancelled(job, ended, signal.SIGTERM)


async def test_a_signal_during_the_report_counts_as_reported(store: Store, workspace: Path) -> None:
    reporting = trio.Event()

    async def stop_before_answering(_: str, path: str) -> Response | None:
        # Like an orchestrator that removes the container before it responds.
        if path == "complete":
            reporting.set()
            await trio.sleep_forever()
        return None

    async with real_job(store, workspace, [DONE]) as job:
        job.orchestrator.intervene = stop_before_answering
        with trio.fail_after(WAIT_TIMEOUT):
            await reporting.wait()
        ended = await stop_with(signal.SIGTERM, job)

    assert ended.code == 0, ended.err
    assert (ended.outcome["status"], ended.outcome["reported"]) == ("completed", True)


async def test_an_unreachable_orchestrator_is_exit_code_5(store: Store, workspace: Path) -> None:
    async with real_job(store, workspace, [call("shell", command=PLAIN), DONE], "--grace", "1") as job:
        await until((workspace / "began").exists)
        job.orchestrator.close()
        ended = await stop_with(signal.SIGTERM, job)

        assert ended.code == 5
        assert job.survivors() == {}
    assert ended.outcome["status"] == "cancelled"
    assert not ended.outcome["reported"]
    assert "could not be reported" in ended.err


async def test_a_silent_orchestrator_does_not_delay_the_exit(store: Store, workspace: Path) -> None:
    async def never_respond(_: str, path: str) -> Response | None:
        if path in {"event", "complete", "status"}:
            await trio.sleep_forever()
        return None

    async with real_job(store, workspace, [call("shell", command=PLAIN), DONE], "--grace", "1") as job:
        await until((workspace / "began").exists)
        job.orchestrator.intervene = never_respond
        ended = await stop_with(signal.SIGTERM, job)

        assert job.survivors() == {}
    assert ended.code == 5, ended.err


async def test_a_signal_before_the_first_response_ends_the_worker(store: Store, workspace: Path) -> None:
    requested = trio.Event()

    async def never_respond(_: str, path: str) -> Response | None:
        if path in {"job", "credentials"}:
            requested.set()
            await trio.sleep_forever()
        return None

    async with real_orchestrator(store) as place:
        place.intervene = never_respond
        async with real_worker(place, workspace) as job:
            with trio.fail_after(WAIT_TIMEOUT):
                await requested.wait()
            ended = await stop_with(signal.SIGTERM, job)

    assert ended.code == 4, ended.err
    assert job.view.state == "cancelled"
