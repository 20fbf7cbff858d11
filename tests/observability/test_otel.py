"""Export of spans to a collector on a real socket, and jobs without one."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

import pytest
import trio
from loguru import logger

from observability.collector import Collector
from support.tools import Log, Probe
from trioworker import JobOutcome, open_job, run_job
from trioworker.observability.otlp_export import FLUSH_TIMEOUT
from trioworker.testing import DONE, Fault, SimulatedOrchestrator, call

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def probing() -> SimulatedOrchestrator:
    """A world whose model calls the probe once."""
    return SimulatedOrchestrator([call("probe"), DONE], thinking=0.0)


def carried(world: SimulatedOrchestrator) -> list[tuple[str, str | None]]:
    """The method and path of each request, and its `traceparent` header."""
    return [(f"{one.method} {one.path}", one.headers.get("traceparent")) for one in world.exchanges]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "TRACEPARENT", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def warnings() -> list[str]:
    """Warnings and errors of the log."""
    lines: list[str] = []
    logger.add(lines.append, format="{level} {message}", level="WARNING")
    return lines


async def run(world: SimulatedOrchestrator, workspace: Path) -> JobOutcome:
    return await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])


async def run_and_collect(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Collector, SimulatedOrchestrator]:
    """Run a job with a collector."""
    collector, world = Collector(), probing()
    async with collector.running() as url:
        monkeypatch.setenv(ENDPOINT, url)
        outcome = await run(world, workspace)
    assert outcome.success
    return collector, world


def sampled(header: str | None) -> bool:
    """Whether the span of a `traceparent` is sampled: the lowest bit of the flags (W3C Trace Context)."""
    assert header
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", header)
    return bool(int(header[-2:], 16) & 1)


def attributes(span: Span) -> dict[str, str | int]:
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes}


async def test_spans_of_a_job_are_one_tree(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collector, world = await run_and_collect(workspace, monkeypatch)
    by_id = {span.span_id: span for span in collector.spans}
    (root,) = collector.named("job")
    assert root.parent_span_id == b""
    assert len({span.trace_id for span in collector.spans}) == 1
    assert all(span.parent_span_id in by_id for span in collector.spans if span is not root)
    assert sorted(span.name for span in collector.spans if span.kind == span.SPAN_KIND_CLIENT) == sorted(
        f"{exchange.method} {exchange.path}" for exchange in world.exchanges
    )
    (probe,) = collector.named("probe")
    assert by_id[probe.parent_span_id].name == "tool-executor"
    assert attributes(probe)["trioworker.iteration"] == 1
    assert attributes(collector.named("POST complete")[0]).items() >= {
        ("http.request.method", "POST"),
        ("http.response.status_code", 200),
        ("trioworker.track", "event-shipper"),
    }
    assert all(
        root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano for span in by_id.values()
    )
    assert abs(root.end_time_unix_nano / 1e9 - time.time()) < 60


async def test_each_request_propagates_its_own_span(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collector, world = await run_and_collect(workspace, monkeypatch)
    expected = [
        (span.name, f"{span.trace_id.hex()}-{span.span_id.hex()}")
        for span in collector.spans
        if span.kind == span.SPAN_KIND_CLIENT
    ]
    assert sorted(expected) == sorted((name, str(header)[3:-3]) for name, header in carried(world))
    assert all(sampled(header) for _, header in carried(world))


async def test_job_without_a_collector_propagates_nothing(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENDPOINT, raising=False)
    world = probing()
    await run(world, workspace)
    assert {header for _, header in carried(world)} == {None}


@pytest.mark.parametrize(("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")])
async def test_export_can_be_disabled_by_the_standard_variables(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    collector, world = await run_and_collect(workspace, monkeypatch)
    assert collector.heads == []
    assert {header for _, header in carried(world)} == {None}


async def test_job_joins_the_trace_of_traceparent(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "fleet-7")
    collector, _ = await run_and_collect(workspace, monkeypatch)
    (root,) = collector.named("job")
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert collector.resource["service.name"] == "fleet-7"


async def test_unsampled_spans_are_not_exported(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    collector, world = await run_and_collect(workspace, monkeypatch)
    assert collector.heads == []
    assert not any(sampled(header) for _, header in carried(world))


async def test_failures_and_restarts_are_exported(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collector, world = Collector(), probing()
    world.script = [call("probe", error="no"), call("probe", seconds=0.3), DONE]
    world.faults = [Fault.status(503, path="event", request=0)]
    async with collector.running() as url:
        monkeypatch.setenv(ENDPOINT, url)
        async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
            await world.received("llm", 2)
            job.actors["prompt-poller"].cancel()
            await job.wait()
    failed, _ = collector.named("probe")
    assert failed.status.code == failed.status.STATUS_CODE_ERROR
    assert attributes(failed)["error.type"] == "ToolError"
    assert [
        attributes(span)["http.request.resend_count"]
        for span in collector.spans
        if "retry" in attributes(span).values()
    ] == [1]
    lives = collector.named("prompt-poller")
    assert {attributes(span)["trioworker.incarnation"] for span in lives} >= {1, 2}
    assert all(span.status.code != span.status.STATUS_CODE_ERROR for span in lives)
    (root,) = collector.named("job")
    marks = [event.name for span in (root, *lives) for event in span.events]
    assert sorted(set(marks)) == ["cancel", "restart", "sandbox", "shutdown"]


@pytest.mark.parametrize("behaviour", ["hangs", "refuses"])
async def test_failing_collector_does_not_delay_the_job(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str], behaviour: str
) -> None:
    collector = Collector("hangs" if behaviour == "hangs" else "refuses")
    threads = set(threading.enumerate())
    async with collector.running() as url:
        monkeypatch.setenv(ENDPOINT, url)
        world = probing()
        outcome = await run(world, workspace)
        since_report = trio.current_time() - world.exchanges[-1].at
        monkeypatch.delenv(ENDPOINT)
    assert outcome.success
    assert collector.heads
    assert since_report < FLUSH_TIMEOUT + 1
    assert [re.sub(r"\d+", "N", line) for line in warnings] == [
        "WARNING N spans could not be exported; is the collector up, and OTEL_EXPORTER_OTLP_ENDPOINT right?\n"
    ]
    # Threads of trio's cache stay for a while; there are no others.
    assert all(thread.daemon and thread.name.startswith("Trio") for thread in set(threading.enumerate()) - threads)


async def test_missing_collector_does_not_delay_the_job(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    world = probing()
    assert (await run(world, workspace)).success
    assert trio.current_time() - world.exchanges[-1].at < FLUSH_TIMEOUT + 1
    assert len(warnings) == 1


async def test_queued_spans_are_sent_after_a_cancel_from_outside(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector, world = Collector(), probing()
    world.script = [call("probe", seconds=60.0), DONE]
    async with collector.running() as url:
        monkeypatch.setenv(ENDPOINT, url)
        with trio.move_on_after(0.5):
            await run(world, workspace)
    assert collector.named("job")


async def test_malformed_variable_disables_the_export_but_not_the_job(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many")
    collector, _ = await run_and_collect(workspace, monkeypatch)
    assert collector.heads == []
    assert len(warnings) == 1
    assert "no spans are exported: an OTEL_* variable is invalid: " in warnings[0]
