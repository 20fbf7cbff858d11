"""Jobs that are stopped by a signal: reported within the grace, exit code 4, and no process left."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio

from support.program import PATIENCE, until
from support.realjob import office, real_job, working
from support.world import DONE, calling

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.responses import Response

    from support.program import Ended
    from support.realjob import RealJob
    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

GRACE = 8.0
"""Seconds from the signal to the end at the most: a container gets 10 before SIGKILL."""

PLAIN = "touch began; sleep 300"
DEAF = "trap '' TERM INT; touch began; while true; do sleep 0.2; done"
# In a session of its own, without a parent that waits, and with nothing in its environment that tells whose it is.
ESCAPED = "(env -i setsid sh -c 'touch began; sleep 300' &) ; sleep 300"
DEAF_AND_ESCAPED = """(setsid sh -c 'trap "" TERM; touch began; while true; do sleep 0.2; done' &) ; sleep 300"""


async def stopped_by(number: signal.Signals, job: RealJob) -> Ended:
    """Send the signal and wait for the end, which comes within the grace."""
    began = trio.current_time()
    job.program.signal(number)
    ended = await job.ended()
    assert trio.current_time() - began < GRACE
    return ended


def check_that_it_was_cancelled(job: RealJob, ended: Ended, number: signal.Signals) -> None:
    assert ended.code == 4, ended.err
    assert ended.outcome["status"] == "cancelled"
    assert job.view.state == "cancelled"
    assert not job.report.success
    assert job.report.message == f"Execution stopped: stopped by {number.name}"
    kind, result = job.events[-1]
    assert (kind, result["status"]) == ("result", "cancelled")
    assert job.office.requests[-1] == ("POST", "complete")
    assert job.survivors() == {}


@pytest.mark.parametrize("command", [PLAIN, DEAF, ESCAPED, DEAF_AND_ESCAPED])
async def test_sigterm_during_a_tool(store: Store, workspace: Path, command: str) -> None:
    async with real_job(store, workspace, [calling(("shell", {"command": command})), DONE]) as job:
        await until((workspace / "began").exists)
        assert job.survivors() != {}
        ended = await stopped_by(signal.SIGTERM, job)

        check_that_it_was_cancelled(job, ended, signal.SIGTERM)
    assert len(job.of_type("tool_use")) == 1


async def test_sigint_is_the_same(store: Store, workspace: Path) -> None:
    async with real_job(store, workspace, [calling(("shell", {"command": PLAIN})), DONE]) as job:
        await until((workspace / "began").exists)
        ended = await stopped_by(signal.SIGINT, job)

        check_that_it_was_cancelled(job, ended, signal.SIGINT)


async def test_sigterm_during_a_request_to_the_model(store: Store, workspace: Path) -> None:
    async with real_job(store, workspace, [calling(("list_dir", {}), delay=300)]) as job:
        await until(lambda: job.model.asked)
        ended = await stopped_by(signal.SIGTERM, job)

        check_that_it_was_cancelled(job, ended, signal.SIGTERM)
        # The request was not left hanging: the model may stop thinking.
        await until(lambda: job.model.broken_off == 1)


async def test_a_background_process_of_an_earlier_call_ends_with_the_job(store: Store, workspace: Path) -> None:
    turns = [calling(("shell", {"command": "sleep 300 & echo $! > began"})), calling(("list_dir", {}), delay=300)]
    async with real_job(store, workspace, turns) as job:
        await until(lambda: len(job.model.asked) == 2)
        assert "sleep 300" in job.survivors().values()
        ended = await stopped_by(signal.SIGTERM, job)

        check_that_it_was_cancelled(job, ended, signal.SIGTERM)


async def test_a_second_signal_does_not_kill_the_farewell(store: Store, workspace: Path) -> None:
    farewell, again = trio.Event(), trio.Event()

    async def hold_the_result(_: str, path: str) -> Response | None:
        if path == "event":
            farewell.set()
            await again.wait()
        return None

    async with real_job(store, workspace, [calling(("shell", {"command": PLAIN})), DONE]) as job:
        await until((workspace / "began").exists)
        await job.until_event("tool_use")
        job.office.intervene = hold_the_result
        job.program.signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE):
            await farewell.wait()
        job.program.signal(signal.SIGTERM)
        job.program.signal(signal.SIGINT)
        again.set()
        ended = await job.ended()

        check_that_it_was_cancelled(job, ended, signal.SIGTERM)


async def test_a_signal_while_the_report_is_under_way_says_that_it_arrived(store: Store, workspace: Path) -> None:
    reporting = trio.Event()

    async def stop_before_answering(_: str, path: str) -> Response | None:
        # As the orchestrator does, which removes the container before it replies.
        if path == "complete":
            reporting.set()
            await trio.sleep_forever()
        return None

    async with real_job(store, workspace, [DONE]) as job:
        job.office.intervene = stop_before_answering
        with trio.fail_after(PATIENCE):
            await reporting.wait()
        ended = await stopped_by(signal.SIGTERM, job)

    assert ended.code == 0, ended.err
    assert (ended.outcome["status"], ended.outcome["reported"]) == ("completed", True)


async def test_an_orchestrator_that_is_gone_for_good_is_exit_code_5(store: Store, workspace: Path) -> None:
    async with real_job(store, workspace, [calling(("shell", {"command": PLAIN})), DONE], "--grace", "1") as job:
        await until((workspace / "began").exists)
        job.office.close()
        ended = await stopped_by(signal.SIGTERM, job)

        assert ended.code == 5
        assert job.survivors() == {}
    assert ended.outcome["status"] == "cancelled"
    assert not ended.outcome["reported"]
    assert "could not be reported" in ended.err


async def test_a_silent_orchestrator_does_not_hold_the_end(store: Store, workspace: Path) -> None:
    async def say_nothing(_: str, path: str) -> Response | None:
        if path in {"event", "complete", "status"}:
            await trio.sleep_forever()
        return None

    async with real_job(store, workspace, [calling(("shell", {"command": PLAIN})), DONE], "--grace", "1") as job:
        await until((workspace / "began").exists)
        job.office.intervene = say_nothing
        ended = await stopped_by(signal.SIGTERM, job)

        assert job.survivors() == {}
    assert ended.code == 5, ended.err


async def test_a_signal_before_the_job_is_known_ends_the_worker(store: Store, workspace: Path) -> None:
    asked = trio.Event()

    async def say_nothing(_: str, path: str) -> Response | None:
        if path in {"job", "credentials"}:
            asked.set()
            await trio.sleep_forever()
        return None

    async with office(store) as place:
        place.intervene = say_nothing
        async with working(place, workspace) as job:
            with trio.fail_after(PATIENCE):
                await asked.wait()
            ended = await stopped_by(signal.SIGTERM, job)

    assert ended.code == 4, ended.err
    assert job.view.state == "cancelled"
