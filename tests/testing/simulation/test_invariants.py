"""Defects in a user's job are caught, and the message repeats the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from support.weather import Measure, NoParameters, weather_job
from trioworker.testing import (
    DONE,
    Fault,
    Freeze,
    Kill,
    Plan,
    SimulatedJob,
    assert_invariants,
    call,
    cancel_points,
    say,
    simulate,
)
from trioworker.testing.simulation.wire_rules import conversation_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioworker import ToolContext
    from trioworker.testing import SimulatedRun


def broken_by(job: Callable[[], SimulatedJob], plan: Plan) -> str:
    try:
        assert_invariants(simulate(job, plan))
    except AssertionError as error:
        return str(error)
    return ""


def first_broken(job: Callable[[], SimulatedJob]) -> tuple[Plan, str]:
    """The first plan of the cancel matrix that breaks an invariant, with the message."""
    for plan in cancel_points(job):
        if message := broken_by(job, plan):
            return plan, message
    raise AssertionError("no defect was caught")


def cancels_of_the_tool(job: Callable[[], SimulatedJob]) -> list[Plan]:
    """The plans of the cancel matrix that may cancel a tool."""
    return [plan for plan in cancel_points(job) if "tool-executor" in str(plan)]


def leaving_a_task() -> SimulatedJob:
    class Leaving(Measure):
        async def run(self, parameters: NoParameters, context: ToolContext) -> object:
            trio.lowlevel.spawn_system_task(trio.sleep, 3600)
            return await super().run(parameters, context)

    return weather_job(Leaving())


def test_tool_that_leaves_a_task_is_caught_and_the_message_repeats_the_run() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_invariants(simulate(leaving_a_task, [Fault.cut(request=12)], seed=3))
    assert str(caught.value) == "tasks still running: 1\nrepeat: simulate(leaving_a_task, '3 cut:12')"
    shown = caught.traceback.filter(caught)
    assert [str(entry.path) for entry in shown] == [__file__]


def swallowing(*, endless: bool) -> SimulatedJob:
    class Swallowing(Measure):
        async def run(self, parameters: NoParameters, context: ToolContext) -> object:
            while True:
                try:
                    return await super().run(parameters, context)
                except trio.Cancelled:  # the defect
                    if not endless:
                        return {"celsius": 0}

    return weather_job(Swallowing())


@pytest.mark.parametrize("endless", [False, True])
def test_tool_that_swallows_a_cancel_is_caught(*, endless: bool) -> None:
    plan, message = first_broken(lambda: swallowing(endless=endless))
    assert "the tool measure() swallowed a cancel" in message
    assert "tool-executor" in str(plan)


def test_tool_that_cannot_be_cancelled_and_never_ends_is_reported() -> None:
    class Stubborn(Measure):
        async def run(self, parameters: NoParameters, context: ToolContext) -> object:
            with trio.CancelScope(shield=True):  # the defect
                await trio.sleep_forever()

    message = broken_by(lambda: weather_job(Stubborn()), Plan())
    assert "the job never ends: " in message
    assert "nothing will wake task tool-executor" in message


def test_tool_that_sleeps_often_swallows_nothing() -> None:
    class Polling(Measure):
        async def run(self, parameters: NoParameters, context: ToolContext) -> object:
            for _ in range(1500):
                await trio.sleep(0.01)
            return await super().run(parameters, context)

    assert broken_by(lambda: weather_job(Polling()), Plan()) == ""


def test_time_limit_inside_a_tool_is_not_a_swallowed_cancel() -> None:
    class Limited(Measure):
        async def run(self, parameters: NoParameters, context: ToolContext) -> object:
            with trio.move_on_after(0.5):
                await trio.sleep(5)
            return await super().run(parameters, context)

    plans = cancels_of_the_tool(lambda: weather_job(Limited()))
    runs = [simulate(lambda: weather_job(Limited()), plan) for plan in plans]
    assert any(tool_run.cancelled for run in runs for tool_run in run.tool_runs)
    for run in runs:
        assert_invariants(run)


def test_cancelled_tool_with_a_nursery_swallows_nothing() -> None:
    class Concurrent(Measure):
        async def run(self, parameters: NoParameters, context: ToolContext) -> object:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 0.5)
                await trio.sleep(0.5)
            return await super().run(parameters, context)

    plans = cancels_of_the_tool(lambda: weather_job(Concurrent()))
    runs = [simulate(lambda: weather_job(Concurrent()), plan) for plan in plans]
    assert any(tool_run.cancelled for run in runs for tool_run in run.tool_runs)
    for run in runs:
        assert_invariants(run)


def losing_an_effect() -> SimulatedJob:
    written: list[int] = []

    class Losing(Measure):
        def __init__(self) -> None:
            self._unwritten: list[int] = []

        async def run(self, parameters: NoParameters, context: ToolContext) -> object:
            if not self._unwritten:  # the defect: after an interrupted call, nothing is written
                self._unwritten.append(21)
                result = await super().run(parameters, context)
                written.append(self._unwritten.pop())
                return result
            return {"celsius": 21}

    def has_written(run: SimulatedRun) -> None:
        if run.orchestrator.reports and run.orchestrator.reports[0]["success"]:
            assert written == [21], f"wrote {written}"

    return weather_job(Losing(), invariant=has_written)


def test_lost_effect_is_caught_by_the_invariant_of_the_job() -> None:
    assert broken_by(losing_an_effect, Plan()) == ""
    plan, message = first_broken(losing_an_effect)
    assert message.startswith("wrote []")
    assert message.endswith(f"\nrepeat: simulate(losing_an_effect, '{plan}')")
    assert broken_by(losing_an_effect, Plan.parse(str(plan))) == message


def test_tool_whose_result_depends_on_a_cancel_is_caught_by_the_script() -> None:
    class Forgetful(Measure):
        def __init__(self) -> None:
            self._calls = 0

        async def run(self, parameters: NoParameters, context: ToolContext) -> object:
            self._calls += 1
            await super().run(parameters, context)
            return {"celsius": 22 - self._calls}

    _, message = first_broken(lambda: weather_job(Forgetful()))
    assert message.startswith("failed without a reason in the plan:")


def test_wrong_answer_is_caught() -> None:
    def job() -> SimulatedJob:
        return SimulatedJob([say("The job is complete: 20.")], answer="The job is complete: 21.")

    assert "answered 'The job is complete: 20.'" in broken_by(job, Plan())


def test_job_that_fails_without_a_fault_is_caught() -> None:
    assert "failed without a reason" in broken_by(lambda: SimulatedJob([call("nothing")]), Plan())


def test_job_that_fails_because_of_a_fault_breaks_no_invariant() -> None:
    plan = Plan(0, (Fault.status(400, path="llm"),))
    assert broken_by(weather_job, plan) == ""
    assert not simulate(weather_job, plan).orchestrator.reports[0]["success"]


def test_report_of_a_job_frozen_beyond_its_deadline_may_be_answered_too_late() -> None:
    plan = Plan(0, (Freeze(2.0, 700.0), Fault.delay(400.0, path="complete")))
    assert broken_by(weather_job, plan) == ""
    run = simulate(weather_job, plan)
    assert run.outcome is not None
    assert not run.outcome.reported


def test_broken_invariant_without_a_message_is_reported() -> None:
    def wrong(run: SimulatedRun) -> None:
        raise AssertionError

    assert "the job's own invariant" in broken_by(lambda: weather_job(invariant=wrong), Plan(0, (Kill(5),)))


@pytest.mark.parametrize("at", [0.1, 0.9, 1.2, 2.0, 2.3, 3.1, 3.2, 3.3, 99.0])
def test_follow_up_that_comes_at_any_time_is_neither_lost_nor_repeated(at: float) -> None:
    def job() -> SimulatedJob:
        return SimulatedJob([call("measure"), DONE, DONE], tools=[Measure()], follow_ups={at: "Thanks."})

    assert broken_by(job, Plan()) == ""


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([{"role": "user", "content": "x"}], "starts with"),
        ([{"role": "system", "content": ""}, {"role": "user", "content": None}], "content"),
        (
            [
                {"role": "system", "content": ""},
                {"role": "user", "content": ""},
                {"role": "tool", "content": "", "tool_call_id": "1"},
            ],
            "an answer to no call",
        ),
        (
            [
                {"role": "system", "content": ""},
                {"role": "user", "content": ""},
                {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "name": "x", "arguments": {"a": 1}}]},
                {"role": "user", "content": ""},
            ],
            "calls without an answer",
        ),
        (
            [
                {"role": "system", "content": ""},
                {"role": "user", "content": ""},
                {"role": "assistant", "content": ""},
            ],
            "ends with the assistant",
        ),
    ],
)
def test_ill_formed_conversation_is_detected(messages: list[dict[str, object]], problem: str) -> None:
    assert problem in " ".join(conversation_errors(messages))
