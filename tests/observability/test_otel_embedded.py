"""What an export of spans does to the job and to the program that embeds it: nothing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NoReturn

import pytest
import trio
from loguru import logger
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from observability.collector import Collector
from support.tools import Log, Probe
from trioworker import run_job
from trioworker.observability.guarded_sink import GuardedSink
from trioworker.observability.otlp_export import SpanQueue
from trioworker.observability.recording import RecordingTracer
from trioworker.testing import DONE, SimulatedOrchestrator, call

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from trioworker.observability.recording import RecordedSpan

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
EXPORTER = "OTEL_TRACES_EXPORTER"


@pytest.fixture
def warnings() -> list[str]:
    """Warnings and errors of the log."""
    lines: list[str] = []
    logger.add(lines.append, format="{level} {message}", level="WARNING")
    return lines


class RaisingExporter(SpanExporter):
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise self._error

    def shutdown(self) -> None:
        raise self._error


@pytest.mark.parametrize("error", [ConnectionError("no collector"), SystemExit(1), RuntimeError("a defect")])
async def test_exporter_that_raises_loses_only_its_spans(error: BaseException, warnings: list[str]) -> None:
    queue = SpanQueue(RaisingExporter(error))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.run)
        queue.add(ReadableSpan("lost"))
        queue.close()
    assert warnings == [
        "WARNING 1 spans could not be exported; is the collector up, and OTEL_EXPORTER_OTLP_ENDPOINT right?\n"
    ]


def test_sink_that_raises_is_used_no_further(warnings: list[str]) -> None:
    class Raising:
        propagates = True

        def fail(self, *_: object) -> NoReturn:
            calls.append("called")
            raise RuntimeError("a defect that quotes a secret")

        span_started = span_ended = instant = counter = headers = flush = fail

    calls: list[str] = []
    tracer = RecordingTracer([GuardedSink(Raising())], str)
    with tracer.span("job", "job"):
        tracer.instant("event")
        assert tracer.headers() == {}
    assert calls == ["called"]
    assert warnings == ["WARNING the export of spans raised RuntimeError; no further spans are exported\n"]


async def collected(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Collector:
    """The spans of a job that went well."""
    collector, world = Collector(), SimulatedOrchestrator([call("probe"), DONE], thinking=0.0)
    async with collector.running() as url:
        monkeypatch.setenv(ENDPOINT, url)
        assert (await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])).success
    return collector


async def test_spans_of_a_job_that_went_well_are_no_errors(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = await collected(workspace, monkeypatch)
    assert collector.named("tool-executor")
    assert [span.name for span in collector.spans if span.status.code == span.status.STATUS_CODE_ERROR] == []
    assert [span.name for span in collector.spans if "error.type" in names(span)] == []
    assert "trioworker.cancelled" in names(collector.named("tool-executor")[0])


def names(span: Span) -> set[str]:
    return {pair.key for pair in span.attributes}


async def test_active_span_of_the_program_is_the_parent_of_the_job(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("the program")
    with tracer.start_as_current_span("request") as active:
        collector = await collected(workspace, monkeypatch)
    (root,) = collector.named("job")
    context = active.get_span_context()
    assert root.parent_span_id == context.span_id.to_bytes(8, "big")
    assert root.trace_id == context.trace_id.to_bytes(16, "big")


async def test_logging_of_the_program_is_not_changed(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(logging.getLogger("opentelemetry").handlers)
    await collected(workspace, monkeypatch)
    assert logging.getLogger("opentelemetry").handlers == before


async def test_console_exporter_writes_spans_to_stderr(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(EXPORTER, "console")
    collector = await collected(workspace, monkeypatch)
    written = capfd.readouterr()
    assert collector.heads == []
    assert written.out == ""
    assert '"name": "POST complete"' in written.err


async def test_several_exporters_get_every_span(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(EXPORTER, "console, otlp")
    collector = await collected(workspace, monkeypatch)
    assert capfd.readouterr().err.count("\n") == len(collector.spans)


async def test_unknown_exporter_is_one_warning(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    monkeypatch.setenv(EXPORTER, "zipkin")
    collector = await collected(workspace, monkeypatch)
    assert collector.heads == []
    (line,) = warnings
    assert "OTEL_TRACES_EXPORTER=zipkin: no such exporter; use otlp, console or none" in line


def test_job_within_the_span_of_another_has_its_own_tree() -> None:
    class Kept:
        propagates = False

        def __init__(self) -> None:
            self.parents: dict[str, str | None] = {}

        def span_started(self, span: RecordedSpan) -> None:
            self.parents[span.name] = span.parent.name if span.parent else None

        def ignore(self, *_: object) -> None:
            pass

        span_ended = instant = counter = flush = ignore

        def headers(self, _: RecordedSpan) -> dict[str, str]:
            return {}

    outer, inner = Kept(), Kept()
    tracers = [RecordingTracer([sink], str) for sink in (outer, inner)]
    with tracers[0].span("job", "first"), tracers[1].span("job", "second"), tracers[1].span("tool", "probe"):
        pass
    with tracers[0].span("job", "third"):
        pass
    assert outer.parents == {"first": None, "third": None}
    assert inner.parents == {"second": None, "probe": "second"}
