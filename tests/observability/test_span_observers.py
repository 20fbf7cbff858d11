"""`on_span` and `job.spans()`: the spans of a trace, for the program that runs the job."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
import trio
from loguru import logger

from observability.tracefile import read_trace
from support.tools import Log, Look, Probe
from trioworker import FinishedSpan, RefusedError, open_job, run_job
from trioworker.observability.recording import RecordingTracer
from trioworker.observability.span_observers import MAX_WAITING_SPANS, SpanStream
from trioworker.testing import DONE, Fault, SimulatedOrchestrator, call, reply

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

TOOLS = [Probe(Log()), Look(Log())]


@pytest.fixture
def world() -> SimulatedOrchestrator:
    return SimulatedOrchestrator([reply(call("probe", seconds=2.0), call("look")), DONE])


async def test_observed_spans_are_those_of_the_trace(
    world: SimulatedOrchestrator, workspace: Path, tmp_path: Path, autojump_clock: MockClock
) -> None:
    world.faults = [Fault.status(503, path="event", request=0)]
    config, seen = world.config(workspace, trace=tmp_path / "trace.json"), list[FinishedSpan]()
    async with open_job(config, transport=world, tools=TOOLS, on_span=seen.append) as job:
        await trio.sleep(1.5)
        job.actors["reasoner"].cancel()
        await job.wait()

    seen.sort(key=lambda span: span.start)
    traced = sorted(read_trace(tmp_path / "trace.json").slices, key=lambda span: span.began)
    assert [described(span) for span in seen] == [
        (span.kind, span.name, span.track.partition(" ")[0], span.args) for span in traced
    ]
    assert [span.start for span in seen] == pytest.approx([span.began / 1e6 for span in traced])
    assert [span.duration for span in seen] == pytest.approx([span.seconds for span in traced], abs=1e-6)
    assert {span.kind for span in seen} == {"job", "actor", "llm", "tool", "request", "retry", "wait"}
    assert any(span.cancelled for span in seen if span.kind == "actor")
    assert any(span.error for span in seen if span.kind == "request")


async def test_each_span_has_its_parent(
    world: SimulatedOrchestrator, workspace: Path, autojump_clock: MockClock
) -> None:
    seen: list[FinishedSpan] = []
    await run_job(world.config(workspace), transport=world, tools=TOOLS, on_span=seen.append)
    by_id = {span.id: span for span in seen}
    (root,) = (span for span in seen if span.kind == "job")
    assert len(by_id) == len(seen)
    assert root.parent is None
    assert seen[-1] is root
    for span in seen:
        if span is not root:
            parent = by_id[span.parent or 0]
            assert parent.start <= span.start
            assert span.start + span.duration <= parent.start + parent.duration
    assert {by_id[span.parent or 0].name for span in seen if span.kind == "llm"} == {"reasoner"}


async def test_spans_are_the_observed_ones_and_end_with_the_job(
    world: SimulatedOrchestrator, workspace: Path, autojump_clock: MockClock
) -> None:
    observed: list[FinishedSpan] = []
    async with open_job(world.config(workspace), transport=world, tools=TOOLS, on_span=observed.append) as job:
        before = len(observed)
        streamed = [span async for span in job.spans()]
        outcome = await job.wait()
        # The job has ended, although the program has not left `open_job`.
        assert [span async for span in job.spans()] == []
    assert outcome.success
    assert streamed == observed[before:]
    assert streamed[-1].kind == "job"


async def test_spans_requested_during_the_job_are_on_the_track_of_their_actor(
    world: SimulatedOrchestrator, workspace: Path, autojump_clock: MockClock
) -> None:
    observed: list[FinishedSpan] = []
    async with open_job(world.config(workspace), transport=world, tools=TOOLS) as job:
        await trio.sleep(1.5)
        observed = [span async for span in job.spans()]
    assert {span.track for span in observed if span.kind == "llm"} == {"reasoner"}
    actors = {span.id: span.name for span in observed if span.kind == "actor"}
    assert {actors.get(span.parent or 0) for span in observed if span.kind == "llm"} == {"reasoner"}


async def test_spans_end_when_the_job_fails_to_start(workspace: Path, autojump_clock: MockClock) -> None:
    world, seen = SimulatedOrchestrator(faults=[Fault.status(403, path="job")]), list[FinishedSpan]()
    with pytest.raises(RefusedError):
        await run_job(world.config(workspace), transport=world, on_span=seen.append)
    assert (seen[-1].kind, seen[-1].error) == ("job", "RefusedError")


async def test_loop_that_is_left_early_does_not_affect_the_job(
    world: SimulatedOrchestrator, workspace: Path, autojump_clock: MockClock
) -> None:
    async with open_job(world.config(workspace), transport=world, tools=TOOLS) as job:
        with closing(job.spans()) as spans:
            async for span in spans:
                assert span.name
                break
        assert [span async for span in spans] == []
        assert (await job.wait()).success


@pytest.mark.parametrize("error", [RuntimeError("se\x1b[31mcret"), SystemExit("secret")])
async def test_observer_that_raises_is_logged_once_and_does_not_affect_the_job(
    world: SimulatedOrchestrator, workspace: Path, autojump_clock: MockClock, error: BaseException
) -> None:
    lines: list[str] = []
    logger.enable("trioworker")
    logger.add(lines.append, level="TRACE")
    calls: list[FinishedSpan] = []

    def observe(span: FinishedSpan) -> NoReturn:
        calls.append(span)
        raise error

    outcome = await run_job(world.config(workspace), transport=world, tools=TOOLS, on_span=observe)
    assert outcome.success
    assert len(calls) == 1
    assert "".join(lines).count(f"on_span raised {type(error).__name__}; it is not called again") == 1
    assert "cret" not in "".join(lines)


async def test_asynchronous_observer_is_refused_before_the_job_is_fetched(
    world: SimulatedOrchestrator, workspace: Path
) -> None:
    async def observe(span: FinishedSpan) -> None:
        raise AssertionError(span)

    with pytest.raises(TypeError, match="on_span can't be an async function"):
        await run_job(world.config(workspace), transport=world, on_span=observe)
    assert not world.exchanges


async def test_observer_can_change_neither_the_trace_nor_the_spans_of_another_observer(
    world: SimulatedOrchestrator, workspace: Path, tmp_path: Path, autojump_clock: MockClock
) -> None:
    def vandalize(span: FinishedSpan) -> None:
        span.attributes.clear()
        span.results["status"] = 0

    config = world.config(workspace, trace=tmp_path / "trace.json")
    async with open_job(config, transport=world, tools=TOOLS, on_span=vandalize) as job:
        streamed = [span async for span in job.spans()]
    trace = read_trace(tmp_path / "trace.json")
    assert {span.args["status"] for span in trace.named("POST event")} == {200}
    assert {span.results["status"] for span in streamed if span.name == "POST event"} == {200}


async def test_slow_consumer_loses_the_spans_beyond_the_limit() -> None:
    tracer = RecordingTracer([], str)
    with tracer.job("job-1"):
        spans = SpanStream(tracer)
        for number in range(MAX_WAITING_SPANS + 3):
            with tracer.span("tool", str(number)):
                pass
    # The job's span is the fourth.
    assert spans.lost == 4
    assert [span.name async for span in spans] == list(map(str, range(MAX_WAITING_SPANS)))


async def test_texts_of_spans_are_redacted() -> None:
    tracer, seen = RecordingTracer([], lambda text: text.replace("sesame", "…")), list[FinishedSpan]()
    spans = SpanStream(tracer)
    with tracer.job("job-1"), tracer.span("tool", "open sesame", call_id="sesame") as span:
        span.set(word="sesame")
    seen += [span async for span in spans]
    assert "sesame" not in str(seen)
    assert (seen[0].name, seen[0].attributes, seen[0].results) == ("open …", {"call_id": "…"}, {"word": "…"})


def described(span: FinishedSpan) -> tuple[str, str, str, dict[str, Any]]:
    """Its kind, name, track and what a trace has as its arguments."""
    end: dict[str, Any] = {"cancelled": True} if span.cancelled else {}
    end |= {"error": span.error} if span.error else {}
    return span.kind, span.name, span.track, {**span.attributes, **span.results, **end}
