"""`trioworker local --llm replay:FILE`: replays a recorded job in this process, with the output of a live job."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from trioworker.cassette.format import load_cassette
from trioworker.cassette.player import DivergedError, replay
from trioworker.local.printers import open_printer
from trioworker.observability.logging import Logs
from trioworker.orchestrator.views import JobView, Report, StoredEvent, Usage, title_of
from trioworker.protocol.exit_codes import DIVERGED
from trioworker.supervision.nurseries import unwrap_single_exception
from trioworker.supervision.stop_signals import open_stop_receiver, signal_name
from trioworker.worker.cancellation import StopRequest
from trioworker.worker.redaction.secrets import Redactor
from trioworker.worker.tools.registry import BUILTIN_TOOLS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from trioworker.cassette.format import Cassette
    from trioworker.local.config import LocalConfig
    from trioworker.observability.logging import LogFormat, LogLevel
    from trioworker.worker.outcome import JobOutcome
    from trioworker.worker.tools.base import AnyTool


def run_replay(
    config: LocalConfig,
    path: Path,
    *,
    virtual_time: bool,
    level: LogLevel,
    form: LogFormat,
    record: Path | None = None,
    trace: Path | None = None,
    tools: Iterable[AnyTool] = (),
) -> int:
    """Replay a cassette and return the exit code: the job's, or `DIVERGED`.

    `tools` are those of the recorded job in addition to the built-in ones; none of them runs.

    Raises:
        ConfigError: the cassette can't be read, or an output file can't be written.
    """
    cassette = load_cassette(path)
    if config.text:
        # A text other than the recorded one makes the replay diverge at its first request.
        header = msgspec.structs.replace(
            cassette.header, description=config.text, title=config.title or title_of(config.text)
        )
        cassette = msgspec.structs.replace(cassette, header=header)
    more = {"record": record, "trace": trace, "tools": (*BUILTIN_TOOLS, *tools)}
    redactor = Redactor()
    Logs(level, form, lambda text: redactor.redact(text).text)
    clock = None
    if virtual_time:
        from trio.testing import MockClock

        clock = MockClock(autojump_threshold=0)
    try:
        outcome = trio.run(_replay, config, cassette, more, clock=clock)
    except DivergedError as error:
        sys.stderr.write(f"trioworker: {path}: {error}\n")
        return DIVERGED
    return outcome.exit_code


async def _replay(config: LocalConfig, cassette: Cassette, more: dict[str, Any]) -> JobOutcome:
    stop = StopRequest()
    display = ReplayDisplay(config, cassette)

    async def forward(signals: AsyncIterator[int]) -> None:
        async for number in signals:
            stop.request(f"stopped by {signal_name(number)}")

    with open_stop_receiver() as signals, unwrap_single_exception():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(forward, signals)
            outcome = await replay(cassette, config.workspace, on_event=display.show, stop=stop, **more)
            nursery.cancel_scope.cancel()
    display.end(outcome)
    return outcome


class ReplayDisplay:
    """Prints a replayed job like a live one, with the replay's own times."""

    def __init__(self, config: LocalConfig, cassette: Cassette) -> None:
        self._printer = open_printer(json_lines=config.json_lines)
        self._cassette = cassette
        self._start = trio.current_time()
        self._events = 0

    def show(self, event_type: str, data: dict[str, Any]) -> None:
        """Show an event."""
        self._events += 1
        event = StoredEvent(
            number=self._events, event_type=event_type, data=data, at=trio.current_time() - self._start, usage=Usage()
        )
        self._write(self._printer.show(event))

    def end(self, outcome: JobOutcome) -> None:
        """Show how the job ended."""
        header = self._cassette.header
        seconds = trio.current_time() - self._start
        metrics = outcome.metrics
        view = JobView(
            id=header.job_id,
            title=header.title,
            description=header.description,
            project_dir=None,
            state=outcome.status,
            iteration=outcome.iterations,
            status=None,
            created=0.0,
            ended=seconds,
            report=Report(success=outcome.success, message=outcome.message, iterations=outcome.iterations),
            usage=Usage(
                requests=metrics.llm_requests, input_tokens=metrics.input_tokens, output_tokens=metrics.output_tokens
            ),
        )
        self._write(self._printer.end(view, seconds))

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
