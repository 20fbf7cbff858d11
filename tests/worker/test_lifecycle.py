"""A whole job in virtual time: the actors together, against a simulated orchestrator."""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import trio

from support.tools import Log, Look, Probe
from support.world import DONE, Exchange, Fault, World, calling, saying
from trioworker import RefusedError, UnreachableError, WorkerConfig, open_job, run_job
from trioworker.protocol import wire
from trioworker.worker.cancellation import StopRequest

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_a_job_of_three_tools_runs_to_its_end(workspace: Path, autojump_clock: MockClock) -> None:
    log = Log()
    world = World(
        [
            calling(("probe", {"text": "one"}), content="First."),
            calling(("probe", {"text": "two"}), ("look", {"text": "three"})),
            DONE,
        ]
    )
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(log), Look(log)])
    assert outcome.success
    assert outcome.status == "completed"
    assert outcome.reported
    assert outcome.iterations == 3
    assert outcome.message == '{\n  "did": "three"\n}'
    assert log.texts == ["one", "two", "three"]
    assert world.reports == [{"success": True, "message": outcome.message, "iterations": 3}]
    assert world.exchanges[-1].path == "complete"
    assert [event["data"]["seq"] for event in world.events] == list(range(len(world.events)))
    assert [event["event_type"] for event in world.events] == [
        "status", "message", "tool_use", "tool_result", "tool_use", "tool_result", "tool_use", "tool_result", "message",
        "result",
    ]  # fmt: skip
    (result,) = world.of_type("result")
    metrics = result.pop("metrics")
    assert result == {"success": True, "message": outcome.message, "status": "completed", "iterations": 3, "seq": 9}
    assert metrics["llm_requests"] == 3


async def test_the_metrics_tell_what_the_job_cost(workspace: Path, autojump_clock: MockClock) -> None:
    world = World(
        [
            calling(("probe", {"seconds": 2.0}), input_tokens=100, output_tokens=20),
            calling(("look", {"seconds": 1.0}), ("look", {"seconds": 3.0}), input_tokens=150, output_tokens=30),
            saying("The job is complete.", input_tokens=200, output_tokens=10),
        ],
        thinking=4.0,
    )
    failed = iter([Fault(kind="status", status=503)])
    world.fault = lambda x: next(failed, None) if x.path == "event" else None
    log = Log()
    async with open_job(world.config(workspace), transport=world, tools=[Probe(log), Look(log)]) as job:
        await trio.sleep(1)
        job.actors["prompt-poller"].cancel()
        outcome = await job.wait()
    metrics = outcome.metrics
    assert (metrics.iterations, metrics.llm_requests) == (3, 3)
    assert (metrics.input_tokens, metrics.output_tokens) == (450, 60)
    assert metrics.llm_seconds == pytest.approx(12, abs=0.1)  # pyright: ignore[reportUnknownMemberType]
    assert metrics.tool_seconds == pytest.approx(5, abs=0.1)  # pyright: ignore[reportUnknownMemberType]
    assert metrics.worker_seconds < 0.5
    assert metrics.retries == metrics.events_resent == 1
    assert metrics.restarts == 1
    assert metrics.events_sent == len(world.events)
    assert metrics.events_lost == 0


async def test_each_call_is_asked_for_before_it_is_answered(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([calling(("probe", {}), ("probe", {})), DONE])
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    last = world.conversations()[-1]
    assert [message["role"] for message in last] == ["system", "user", "assistant", "tool", "tool"]
    assert [call["id"] for call in last[2]["tool_calls"]] == [message["tool_call_id"] for message in last[3:]]
    assert all(isinstance(message["content"], str) for message in last)


async def test_a_long_job_takes_no_real_time(workspace: Path, autojump_clock: MockClock) -> None:
    turns = [calling(("probe", {"text": str(number), "seconds": 3.0})) for number in range(49)]

    async def cpu_seconds() -> float:
        world = World([*turns, DONE], thinking=8.0, latency=0.1)
        began, began_virtually = time.process_time(), trio.current_time()
        outcome = await run_job(world.config(workspace, timeout=590.0), transport=world, tools=[Probe(Log())])
        assert outcome.iterations == 50
        assert outcome.success
        assert 500 < trio.current_time() - began_virtually < 590
        return time.process_time() - began

    # Of this process alone: what else the machine does is not measured here. Nor is a tracer's work.
    limit = 1.0 if sys.gettrace() is None else 4.0
    assert min([await cpu_seconds() for _ in range(3)]) < limit


async def test_only_the_model_and_the_tools_are_waited_for(workspace: Path, autojump_clock: MockClock) -> None:
    async def seconds(latency: float) -> float:
        world = World([calling(("probe", {}))] * 9 + [DONE], thinking=1.0)
        world.latency = 0.0
        slow: dict[str, float] = {"event": latency, "status": latency, "prompt": latency}
        world.fault = lambda x: Fault(kind="delay", delay=slow[x.path]) if x.path in slow else None
        began = trio.current_time()
        async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
            await job.wait()
        asked = world.asked("llm/complete_with_tools")
        return asked[-1].at - began

    assert await seconds(0.5) == pytest.approx(await seconds(0.0), abs=0.01)  # pyright: ignore[reportUnknownMemberType]


async def test_iterations_start_a_tenth_of_a_second_apart_at_least(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([calling(("probe", {}))] * 4 + [DONE], thinking=0.0)
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    starts = [exchange.at for exchange in world.asked("llm/complete_with_tools")]
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert all(0.0999 < gap < 0.11 for gap in gaps)


async def test_a_model_slower_than_the_pace_waits_for_nothing(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([calling(("probe", {}))] * 4 + [DONE], thinking=0.15)
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    starts = [exchange.at for exchange in world.asked("llm/complete_with_tools")]
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert all(gap < 0.151 for gap in gaps)


async def test_statuses_go_out_at_the_start_and_every_fifth_iteration(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = World([calling(("probe", {}))] * 11 + [DONE])
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    assert [exchange.body for exchange in world.asked("status")] == [
        {"state": "in_progress", "message": "Worker started, beginning execution", "iteration": 0},
        {"state": "in_progress", "message": "Iteration 1", "iteration": 1},
        {"state": "in_progress", "message": "Iteration 6", "iteration": 6},
        {"state": "in_progress", "message": "Iteration 11", "iteration": 11},
    ]


async def test_reading_neighbours_run_side_by_side_and_others_alone(workspace: Path, autojump_clock: MockClock) -> None:
    log = Log()
    turn = calling(
        ("look", {"text": "a", "seconds": 3}),
        ("look", {"text": "b", "seconds": 1}),
        ("probe", {"text": "c", "seconds": 1}),
        ("look", {"text": "d", "seconds": 1}),
    )
    world = World([turn, DONE])
    await run_job(world.config(workspace), transport=world, tools=[Probe(log), Look(log)])
    runs = {run.text: run for run in log.runs}
    assert runs["a"].started == runs["b"].started
    assert runs["c"].started == runs["a"].ended
    assert runs["d"].started == runs["c"].ended
    answers = [message["content"] for message in world.conversations()[-1] if message["role"] == "tool"]
    assert [text for answer in answers for text in "abcd" if f'"did": "{text}"' in answer] == list("abcd")


async def test_a_follow_up_joins_at_the_next_turn(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([calling(("probe", {"seconds": 5})), calling(("probe", {"seconds": 5})), DONE])
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
        await trio.sleep(2)
        world.prompts.append(wire.Prompt(content="Mind the tabs."))
        await job.wait()
    second = world.conversations()[1]
    assert second[-1] == {"role": "user", "content": "Mind the tabs."}
    assert [data["content"] for data in world.of_type("message") if data["role"] == "user"] == ["Mind the tabs."]


async def test_a_follow_up_that_came_before_the_last_word_is_answered(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = World([DONE, saying("With tabs now. The job is complete.")], thinking=5.0)
    async with open_job(world.config(workspace), transport=world, tools=[]) as job:
        await trio.sleep(2)
        world.prompts.append(wire.Prompt(content="Mind the tabs."))
        outcome = await job.wait()
    assert outcome.message == "With tabs now. The job is complete."


async def test_done_ends_the_polling(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([calling(("probe", {"seconds": 30})), DONE])
    world.prompts.append(wire.Prompt(content="That is all.", done=True))
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    assert len(world.asked("prompt")) == 1


async def test_polling_goes_on_while_the_reasoner_works_and_backs_off_on_errors(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = World([calling(("probe", {"seconds": 60})), DONE])
    world.fault = lambda x: Fault(kind="status", status=500) if x.path == "prompt" and x.at > 10 else None
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    times = [exchange.at for exchange in world.asked("prompt")]
    gaps = [round(later - earlier) for earlier, later in pairwise(times)]
    slower = gaps.index(2)
    assert set(gaps[:slower]) == {1}
    assert gaps[slower : slower + 3] == [2, 4, 8]
    assert set(gaps[slower + 3 :]) == {10}


async def test_a_connection_that_stalls_as_the_job_is_stopped_loses_no_event(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = World([calling(("probe", {"seconds": 60})), DONE])
    stalled = trio.Event()

    def first_event(exchange: Exchange) -> Fault | None:
        if exchange.path != "event" or stalled.is_set():
            return None
        stalled.set()
        return Fault(kind="delay", delay=3600)

    world.fault = first_event
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
        await stalled.wait()
        job.stop("it is enough")
        outcome = await job.wait()
    assert outcome.reported
    assert outcome.message == "Execution stopped: it is enough"
    assert outcome.metrics.events_lost == 0
    assert {event["data"]["seq"] for event in world.events} == set(range(outcome.metrics.events_sent))


async def test_the_shipper_rests_when_all_is_shipped(workspace: Path, autojump_clock: MockClock) -> None:
    class Steps(trio.abc.Instrument):
        def __init__(self) -> None:
            self.at: list[float] = []

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            if task.name == "event-shipper":
                self.at.append(trio.current_time())

    world = World([calling(*[("probe", {"seconds": 0})] * 60, ("probe", {"seconds": 30})), DONE])
    world.latency = 0.001
    began, steps = trio.current_time(), Steps()
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())], instruments=[steps])
    arrivals = [event.at for event in world.asked("event") if event.at - began < 20]
    resting = [at for at in steps.at if max(arrivals) + 0.05 < at < began + 20]
    assert len(arrivals) > 100
    assert len(resting) < 10


async def test_a_poll_that_is_told_to_wait_waits(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([calling(("probe", {"seconds": 60})), DONE])
    busy = Fault(kind="status", status=429, headers={"Retry-After": "25"})
    world.fault = lambda x: busy if x.path == "prompt" and x.at < 1 else None
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    first, second, third, *_ = (exchange.at for exchange in world.asked("prompt"))
    assert round(second - first) == 25
    assert round(third - second) == 1


@pytest.mark.parametrize("name", ["prompt-poller", "reasoner", "tool-executor", "event-shipper"])
async def test_an_actor_that_is_cancelled_changes_nothing(
    name: str, workspace: Path, autojump_clock: MockClock
) -> None:
    async def answer_when_cancelled_at(seconds: float | None) -> tuple[str, dict[str, Any]]:
        log = Log()
        turns = [calling(("probe", {"text": "one", "seconds": 4})), calling(("probe", {"text": "two"})), DONE]
        world = World(turns, latency=0.2)
        async with open_job(world.config(workspace), transport=world, tools=[Probe(log)]) as job:
            if seconds is not None:
                await trio.sleep(seconds)
                job.actors[name].cancel()
            outcome = await job.wait()
        assert job.actors[name].restarts == (seconds is not None)
        assert len(world.reports) == 1
        seqs = [event["data"]["seq"] for event in world.events]
        assert seqs == list(range(len(seqs)))
        return outcome.message, world.reports[0]["success"]

    undisturbed = await answer_when_cancelled_at(None)
    for seconds in (0.0, 0.3, 1.0, 2.5, 5.5, 6.3):
        assert await answer_when_cancelled_at(seconds) == undisturbed


async def test_an_interrupted_call_never_runs_twice(workspace: Path, autojump_clock: MockClock) -> None:
    log = Log()
    world = World([calling(("probe", {"text": "risky", "seconds": 10})), DONE])
    async with open_job(world.config(workspace), transport=world, tools=[Probe(log)]) as job:
        await trio.sleep(3)
        job.actors["tool-executor"].cancel()
        outcome = await job.wait()
    assert outcome.success
    answers = [message for message in world.conversations()[-1] if message["role"] == "tool"]
    assert "interrupted; its effects are unknown" in answers[0]["content"]
    # The model asked again, under another id, so it ran again as another call.
    assert log.texts == ["risky", "risky"]
    assert [answer["tool_call_id"] for answer in answers] == ["call_1_1", "call_1_1_1"]


async def test_an_actor_that_ends_too_often_fails_the_job(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([calling(("probe", {"seconds": 60})), DONE])
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
        for _ in range(6):
            await trio.sleep(0.5)
            job.actors["prompt-poller"].cancel()
        outcome = await job.wait()
    assert outcome.status == "failed"
    assert "prompt-poller" in outcome.message
    assert world.reports[0]["success"] is False


async def test_a_shipper_that_ends_too_often_still_reports(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([calling(("probe", {"seconds": 60})), DONE])
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
        for _ in range(6):
            await trio.sleep(0.5)
            job.actors["event-shipper"].cancel()
        outcome = await job.wait()
    assert outcome.reported
    assert "event-shipper" in world.reports[0]["message"]
    assert world.of_type("result")[0]["success"] is False


async def test_the_deadline_ends_the_job_and_is_reported(workspace: Path, autojump_clock: MockClock) -> None:
    log = Log()
    world = World([calling(("probe", {"seconds": 50}))])
    began = trio.current_time()
    outcome = await run_job(world.config(workspace, timeout=20.0), transport=world, tools=[Probe(log)])
    assert outcome.status == "stuck"
    assert world.reports == [{"success": False, "message": "Execution timed out", "iterations": 1}]
    assert world.of_type("result")[0]["status"] == "stuck"
    assert trio.current_time() - began < 20 + 8
    assert log.runs[0].ended is None


async def test_the_iterations_run_out(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([calling(("probe", {}))] * 5)
    outcome = await run_job(world.config(workspace, max_iterations=3), transport=world, tools=[Probe(Log())])
    assert outcome.message == "Execution failed: max iterations (3) exceeded"
    assert world.reports[0] == {"success": False, "message": outcome.message, "iterations": 3}
    assert len(world.conversations()) == 3


async def test_leaving_the_block_early_stops_and_reports_the_job(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([calling(("probe", {"seconds": 60})), DONE])
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]):
        await trio.sleep(3)
    assert world.reports[0]["success"] is False
    assert world.of_type("result")[0]["status"] == "cancelled"


async def test_an_error_in_the_block_reaches_the_caller_as_it_is(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([calling(("probe", {"seconds": 60})), DONE])

    async def fail_in_the_block() -> None:
        async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]):
            await trio.sleep(3)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await fail_in_the_block()
    assert len(world.reports) == 1


async def test_cancellation_from_outside_is_not_swallowed(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([calling(("probe", {"seconds": 60})), DONE])
    with trio.move_on_after(5) as scope:
        async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
            await job.wait()
    assert scope.cancelled_caught
    assert world.reports[0]["success"] is False


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_refusal_at_the_start_is_final_at_once(status: int, workspace: Path, autojump_clock: MockClock) -> None:
    world = World()
    world.fault = lambda x: Fault(kind="status", status=status) if x.path == "job" else None
    began = trio.current_time()
    with pytest.raises(RefusedError, match=str(status)):
        await run_job(world.config(workspace), transport=world, tools=[])
    assert trio.current_time() - began < 1
    assert world.reports == []


async def test_an_orchestrator_that_is_away_at_the_start_is_waited_for_a_minute(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = World()
    world.fault = lambda _: Fault(kind="refused")
    began = trio.current_time()
    with pytest.raises(UnreachableError, match="cannot connect"):
        await run_job(world.config(workspace), transport=world, tools=[])
    assert trio.current_time() - began == pytest.approx(60, abs=6)  # pyright: ignore[reportUnknownMemberType]


async def test_a_job_that_is_no_job_fails_and_is_reported(workspace: Path, autojump_clock: MockClock) -> None:
    world = World()
    world.fault = lambda x: Fault(kind="garbage") if x.path == "job" else None
    outcome = await run_job(world.config(workspace), transport=world, tools=[])
    assert outcome.status == "failed"
    assert "GET job" in world.reports[0]["message"]
    assert "200" in world.reports[0]["message"]


async def test_credentials_that_cannot_be_had_fail_the_job(workspace: Path, autojump_clock: MockClock) -> None:
    world = World()
    world.fault = lambda x: Fault(kind="status", status=400) if x.path == "credentials" else None
    outcome = await run_job(world.config(workspace), transport=world, tools=[])
    assert "credentials" in world.reports[0]["message"]
    assert not outcome.success


async def test_a_stop_before_the_job_is_known_is_reported(workspace: Path, autojump_clock: MockClock) -> None:
    world = World(latency=0.1)
    world.fault = lambda x: Fault(kind="refused") if x.at < 3 else None
    stop = StopRequest()
    outcomes: list[str] = []

    async def run() -> None:
        outcome = await run_job(world.config(workspace), transport=world, tools=[], stop=stop)
        outcomes.append(outcome.status)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.sleep(2)
        stop.request("stopped by SIGTERM")
    assert outcomes == ["cancelled"]
    assert world.reports[0]["message"] == "Execution stopped: stopped by SIGTERM"


async def test_a_stop_while_the_report_is_under_way_means_that_it_arrived(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = World([DONE])
    stop = StopRequest()
    world.on_complete = lambda: stop.request("stopped by SIGTERM")
    world.fault = lambda x: Fault(kind="delay", delay=3600) if x.path == "complete" else None
    began = trio.current_time()
    outcome = await run_job(world.config(workspace), transport=world, tools=[], stop=stop)
    assert outcome.reported
    assert outcome.success
    assert trio.current_time() - began < 3


async def test_a_stop_with_a_dead_orchestrator_ends_within_the_grace(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = World([calling(("probe", {"seconds": 60})), DONE])
    world.fault = lambda x: Fault(kind="delay", delay=3600) if x.at > 5 else None
    stop = StopRequest()
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())], stop=stop) as job:
        await trio.sleep(10)
        began = trio.current_time()
        stop.request("stopped by SIGTERM")
        outcome = await job.wait()
    assert trio.current_time() - began <= 8
    # The simulated orchestrator handled the report; its answer was what got lost.
    assert not outcome.reported
    assert len(world.reports) == 1
    assert "could not be delivered" in world.reports[0]["message"]


async def test_a_report_whose_answer_was_lost_is_sent_again_and_had_arrived(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = World([DONE])
    seen: list[Exchange] = []

    def fault(exchange: Exchange) -> Fault | None:
        if exchange.path != "complete":
            return None
        seen.append(exchange)
        return Fault(kind="reset-after") if len(seen) == 1 else None

    world.fault = fault
    outcome = await run_job(world.config(workspace), transport=world, tools=[])
    assert outcome.reported
    assert [exchange.status for exchange in seen] == [None, 401]
    assert len(world.reports) == 1


async def test_a_full_event_queue_pushes_back_and_loses_nothing(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([calling(*[("probe", {"text": str(number)}) for number in range(30)]), DONE])
    world.fault = lambda x: Fault(kind="delay", delay=1.0) if x.path == "event" else None
    began = trio.current_time()
    log = Log()
    await run_job(world.config(workspace, event_queue=4), transport=world, tools=[Probe(log)])
    assert log.runs[-1].started - began > 40
    assert len(world.of_type("tool_result")) == 30
    assert [event["data"]["seq"] for event in world.events] == list(range(len(world.events)))


async def test_an_outage_is_sat_out(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([calling(("probe", {"text": str(number), "seconds": 1})) for number in range(9)] + [DONE])
    world.fault = lambda x: Fault(kind="refused") if 5 <= x.at - began < 65 else None
    began = trio.current_time()
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    assert outcome.success
    assert trio.current_time() - began < 25 + 60
    assert [event["data"]["seq"] for event in world.events] == list(range(len(world.events)))


async def test_a_model_that_fails_for_good_fails_the_job(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([DONE])
    world.fault = lambda x: Fault(kind="status", status=502) if x.path.startswith("llm/") else None
    outcome = await run_job(world.config(workspace), transport=world, tools=[])
    assert outcome.status == "failed"
    assert outcome.message.startswith("Execution failed: POST http://orchestrator.test:50051/worker/")
    assert "502" in outcome.message


async def test_two_phase_selects_first_and_responds_when_no_call_came(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = World([calling(("probe", {})), DONE])
    await run_job(world.config(workspace, reasoning="two-phase"), transport=world, tools=[Probe(Log())])
    requests = [
        {key: value for key, value in exchange.body.items() if key not in {"messages", "tools"}}
        for exchange in world.asked("llm/complete_with_tools")
    ]
    select = {"max_tokens": 1024, "tool_choice": "auto"}
    respond = {"max_tokens": 4096, "temperature": 0.7, "tool_choice": "auto"}
    assert requests == [select, select, respond]


async def test_a_tool_that_crashes_or_hangs_is_the_models_affair(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([calling(("probe", {"crash": True}), ("probe", {"seconds": 1000}), ("nothing", {})), DONE])
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    assert outcome.success
    answers = [message["content"] for message in world.conversations()[-1] if message["role"] == "tool"]
    assert "Error: the tool probe crashed: ZeroDivisionError" in answers[0]
    assert "Error: timed out after 60 s" in answers[1]
    assert "Error: tool 'nothing' not found" in answers[2]
    assert [data["success"] for data in world.of_type("tool_result")] == [False, False, False]


async def test_instruments_are_attached_while_the_job_runs(workspace: Path, autojump_clock: MockClock) -> None:
    class Counter(trio.abc.Instrument):
        steps = 0

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            self.steps += 1

    counter = Counter()
    world = World([DONE])
    await run_job(world.config(workspace), transport=world, tools=[], instruments=[counter])
    during = counter.steps
    assert during > 10
    await trio.sleep(1)
    assert counter.steps == during


async def test_the_token_and_the_credentials_never_leave_in_events(workspace: Path, autojump_clock: MockClock) -> None:
    credential = wire.Credential(env_var="PLACE", value="granted-value-123")
    world = World(
        [calling(("probe", {"text": "granted-value-123 world-token-7f3a9c"})), DONE], credentials=[credential]
    )
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    told = f"{world.events} {world.reports} {world.conversations()[-1][3:]} {outcome}"
    assert "granted-value-123" not in told
    assert "world-token-7f3a9c" not in told
    assert "[REDACTED:granted_credential]" in told


def test_a_configuration_never_shows_its_token(workspace: Path) -> None:
    config = WorkerConfig(job_id="j", token="very-secret", workspace=workspace)
    assert "very-secret" not in repr(config)
