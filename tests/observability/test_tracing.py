"""The trace of a job: spans of each actor, and no content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from observability.tracefile import Trace, read_trace
from support.identity import TOKEN
from support.tools import Log, Look, Probe
from trioworker import ConfigError, JobOutcome, open_job, run_job
from trioworker.testing import DONE, Fault, SimulatedOrchestrator, call, reply

if TYPE_CHECKING:
    from trio.testing import MockClock

ACTORS = ["event-shipper", "prompt-poller", "reasoner", "tool-executor"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "trace.json"


async def traced(world: SimulatedOrchestrator, workspace: Path, file: Path, **more: Any) -> tuple[Trace, JobOutcome]:
    """Run the world's job; return its trace and its outcome."""
    config = world.config(workspace, trace=file, **more)
    outcome = await run_job(config, transport=world, tools=[Probe(Log()), Look(Log())])
    return read_trace(file), outcome


async def test_spans_are_on_the_track_of_their_actor(workspace: Path, file: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", text="one"), DONE])
    trace, _ = await traced(world, workspace, file)

    assert trace.complete
    assert sorted(span.name for span in trace.of_kind("actor")) == ACTORS
    assert {span.track for span in trace.named("POST llm/complete_with_tools")} == {"reasoner"}
    assert {span.track for span in trace.named("POST event")} == {"event-shipper"}
    assert {span.track for span in trace.named("POST complete")} == {"event-shipper"}
    assert {span.track for span in trace.named("GET prompt")} == {"prompt-poller"}
    assert [(span.track, span.args["iteration"]) for span in trace.of_kind("tool")] == [("tool-executor", 1)]
    (root,) = trace.of_kind("job")
    assert all(root.began <= span.began and (span.ended or 0) <= (root.ended or 0) for span in trace.slices)


async def test_trace_contains_every_request_with_its_status(
    workspace: Path, file: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([call("probe"), DONE])
    trace, _ = await traced(world, workspace, file)
    seen = sorted((span.name, span.args.get("status")) for span in trace.slices if "method" in span.args)
    assert seen == sorted((f"{exchange.method} {exchange.path}", exchange.status) for exchange in world.exchanges)


async def test_waits_of_the_reasoner_are_named_by_their_cause(
    workspace: Path, file: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=2.0), DONE])
    trace, _ = await traced(world, workspace, file)
    waits = [span for span in trace.of_kind("wait") if span.track == "reasoner"]
    assert [(span.name, span.args["iteration"]) for span in waits] == [
        ("pace", 1),
        ("answers to the calls", 1),
        ("pace", 2),
    ]
    (tool,) = trace.of_kind("tool")
    assert waits[1].began < tool.began
    assert (tool.ended or 0) < (waits[1].ended or 0)


async def test_concurrent_calls_have_a_lane_each(workspace: Path, file: Path, autojump_clock: MockClock) -> None:
    looks = [call("look", text=str(number), seconds=3.0 - number) for number in range(3)]
    trace, _ = await traced(SimulatedOrchestrator([reply(*looks), call("look"), DONE]), workspace, file)
    assert [span.track for span in trace.named("look")] == [
        "tool-executor",
        "tool-executor 2",
        "tool-executor 3",
        "tool-executor",
    ]


async def test_retry_and_back_off_are_spans(workspace: Path, file: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator(faults=[Fault.status(503, path="event", request=0)])
    trace, outcome = await traced(world, workspace, file)

    assert outcome.success
    failed = next(span for span in trace.named("POST event") if "error" in span.args)
    pause = next(span for span in trace.named("back-off"))
    (retry,) = trace.of_kind("retry")
    assert failed.args["status"] == 503
    assert (retry.name, retry.args["resend"], retry.args["status"]) == ("POST event", 1, 200)
    assert (failed.ended or 0) <= pause.began
    assert (pause.ended or 0) <= retry.began
    assert {failed.track, pause.track, retry.track} == {"event-shipper"}


async def test_waiting_for_a_full_queue_is_a_span(workspace: Path, file: Path, autojump_clock: MockClock) -> None:
    turns = [reply(call("probe"), call("probe"), call("probe"), call("probe")), DONE]
    trace, _ = await traced(SimulatedOrchestrator(turns), workspace, file)
    assert trace.named("room in the queue") == []

    crowded = SimulatedOrchestrator(turns)
    crowded.faults = [Fault.delay(5.0, path="event")]
    trace, outcome = await traced(crowded, workspace, file, event_queue=1)
    assert outcome.success
    assert "tool-executor" in {span.track for span in trace.named("room in the queue")}


async def test_cancel_and_restart_are_instants(workspace: Path, file: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=2.0), DONE])
    async with open_job(world.config(workspace, trace=file), transport=world, tools=[Probe(Log())]) as job:
        await trio.sleep(1.5)
        job.actors["reasoner"].cancel()
        await job.wait()
    trace = read_trace(file)
    assert trace.marks("cancel") == [("reasoner", {})]
    assert trace.marks("restart") == [("reasoner", {"reason": "cancelled"})]
    lives = [span for span in trace.of_kind("actor") if span.name == "reasoner"]
    assert [(span.args["incarnation"], span.args.get("cancelled")) for span in lives] == [(1, True), (2, None)]


async def test_queue_lengths_are_counters(workspace: Path, file: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([reply(call("probe"), call("look")), DONE], latency=0.3)
    trace, _ = await traced(world, workspace, file)
    assert max(trace.counters["calls to answer"]) == 2
    assert max(trace.counters["outbox"]) >= 2
    assert trace.counters["outbox"][-1] == trace.counters["calls to answer"][-1] == 0
    assert set(trace.counters) >= {"follow-ups waiting", "loop lag (ms)"}


async def test_trace_contains_no_content_and_no_token(workspace: Path, file: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator(
        [reply(call("probe", text="sesame", error="the sesame is shut"), text="Open sesame."), DONE],
        faults=[Fault.status(503, path="event", request=0)],
    )
    _, outcome = await traced(world, workspace, file)
    text = await trio.Path(file).read_text()
    assert outcome.success
    assert "ToolError" in text
    for said in ("sesame", TOKEN, world.description, world.title, outcome.message):
        assert said not in text


async def test_trace_of_a_failed_job_is_complete(workspace: Path, file: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator()
    world.faults = [Fault.status(403, path="llm")]
    trace, outcome = await traced(world, workspace, file)
    assert not outcome.success
    assert trace.complete
    assert all(span.ended is not None for span in trace.slices)
    assert [span.args["error"] for span in trace.named("POST llm/complete_with_tools")] == ["RefusedError"]


async def test_unusable_trace_file_is_an_error_before_any_request(workspace: Path) -> None:
    world = SimulatedOrchestrator()
    nowhere = workspace / "missing" / "trace.json"
    with pytest.raises(ConfigError, match=f"--trace {nowhere}: No such file or directory; name a file"):
        await run_job(world.config(workspace, trace=nowhere), transport=world)
    assert world.exchanges == []


async def test_full_disk_ends_the_trace_but_not_the_job(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator()
    outcome = await run_job(world.config(workspace, trace=Path("/dev/full")), transport=world)
    assert outcome.success
