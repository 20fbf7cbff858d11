"""Renders a job's events as plain lines or as JSON lines; `render_rich.py` renders them in colour for a terminal.

A printer turns events into text. It remembers when each call started, to show how long it took. Control characters of
texts are shown as escapes, and only messages, outputs and the report have several lines: no text looks like an event.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from trioworker.local.call_text import tool_name
from trioworker.observability.terminal_text import fit, one_line
from trioworker.orchestrator.readable_events import is_failed_command, readable_arguments, readable_output
from trioworker.protocol.control_characters import escape_line, escape_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trioworker.orchestrator.views import JobView, StoredEvent

LINE_WIDTH = 200
"""Columns after which a line is truncated."""
OUTPUT_LINES = 12
"""Lines of a tool's output that are shown: half from the start and half from the end. The same for a plain diff."""


class Printer(Protocol):
    """Turns events and the end of a job into text."""

    def show(self, event: StoredEvent) -> str:
        """An event as text, newlines included. It may be held back until the next call, see `release`."""
        ...

    def release(self) -> str:
        """The text of an event that was held back, or an empty string."""
        ...

    def end(self, job: JobView, seconds: float, /, *, changes: Sequence[str] = (), more: str = "") -> str:
        """The text after the last event, or an empty string. `seconds` is the job's duration.

        For a terminal, it has the lines of `changes`, what the job changed in its workspace, and `more`, a command that
        shows more about the job.
        """
        ...


class Row(NamedTuple):
    """An event as text that is safe to print."""

    kind: str
    """Selects the style."""
    who: str
    """The speaker, the tool, or the event type."""
    text: str
    """The first line."""
    body: list[str]
    """Further lines."""
    seconds: float | None = None
    """How long the call took, for a result."""
    exit_code: int = 0
    """The exit code of a command, for a result."""
    diff: Sequence[str] = ()
    """The change of a file, for a result."""


class EventFormatter:
    """Turns events into rows, and remembers calls that haven't ended.

    `metrics` is the job's metrics in one line, empty until the worker reports them.
    """

    def __init__(self, *, diff_lines: int = OUTPUT_LINES) -> None:
        self._diff_lines = diff_lines
        self._call_times: dict[str, float] = {}
        self.metrics = ""

    def row(self, event: StoredEvent) -> Row:
        """The event as a row, safe to print."""
        data = event.data
        match event.event_type:
            case "message":
                first, *rest = shown_lines(_text(data, "content"))
                return Row("message", "you" if data.get("role") == "user" else "agent", first, rest)
            case "tool_use":
                self._call_times[_text(data, "tool_call_id")] = event.at
                return Row("call", tool_name(data), one_line(readable_arguments(_text(data, "input")), LINE_WIDTH), [])
            case "tool_result":
                return self._result(event)
            case "result":
                kind = "done" if data.get("success") else "failed"
                self.metrics = metrics_line(data.get("metrics"))
                status = one_line(_text(data, "status") or kind, 20)
                return Row(kind, "result", status, [])
            case kind:
                text = _text(data, "message") or msgspec.json.encode(data).decode()
                return Row("status", one_line(kind, 20), one_line(text, LINE_WIDTH), [])

    def _result(self, event: StoredEvent) -> Row:
        called_at = self._call_times.pop(_text(event.data, "tool_call_id"), None)
        data = event.data
        exit_code = data["exit_code"] if is_failed_command(data) and isinstance(data["exit_code"], int) else 0
        output = readable_output(data).rstrip().removesuffix(f"[exit code {exit_code}]")
        first, *rest = _ends(_lines(output)) or ["(no output)"]
        kind = "warning" if is_failed_command(data) else "result" if data.get("success") else "error"
        seconds = None if called_at is None else event.at - called_at
        return Row(
            kind, tool_name(data), first, rest, seconds, exit_code, _ends(_lines(_text(data, "diff")), self._diff_lines)
        )


class PlainPrinter:
    """One line for each event, followed by indented lines for longer text."""

    def __init__(self) -> None:
        self._formatter = EventFormatter()
        self._start: float | None = None

    def show(self, event: StoredEvent) -> str:
        """The seconds since the first event, the speaker or tool, and the text."""
        self._start = event.at if self._start is None else self._start
        row = self._formatter.row(event)
        mark = {"call": "> ", "result": "< ", "warning": "! ", "error": "! "}.get(row.kind, "")
        took = "" if row.seconds is None else f"({row.seconds:.2f} s) "
        ended = f"exit {row.exit_code}: " if row.exit_code else ""
        head = f"{event.at - self._start:7.2f}s {mark}{row.who}: {took}{ended}{row.text}"
        return "\n".join([head, *(f"{'':9}| {line}" for line in (*row.body, *row.diff))]) + "\n"

    def release(self) -> str:
        """Empty: nothing is held back."""
        return ""

    def end(self, job: JobView, seconds: float, /, **_: object) -> str:
        """The metrics, if there are any, the summary, and the whole report."""
        metrics = [self._formatter.metrics] if self._formatter.metrics else []
        return "".join(f"{line}\n" for line in (*metrics, summary(job, seconds), *report_lines(job)))


class JsonPrinter:
    """One JSON object per event and line, in ASCII, so that no control characters reach a terminal."""

    def show(self, event: StoredEvent) -> str:
        """The event as in `GET /jobs/ID/events`."""
        return json.dumps(msgspec.to_builtins(event)) + "\n"

    def release(self) -> str:
        """Empty: nothing is held back."""
        return ""

    def end(self, _job: JobView, _seconds: float, /, **_: object) -> str:
        """Empty: each line is an event."""
        return ""


def summary(job: JobView, seconds: float) -> str:
    """The job's end in one line: state, duration, iterations and tokens."""
    report = job.report
    iterations = job.iteration if report is None or report.iterations is None else report.iterations
    tokens = f"{job.usage.input_tokens} + {job.usage.output_tokens} tokens"
    state = escape_line(job.state) if report is not None else "not reported"
    numbers = f"{seconds:.1f} s, {iterations} iteration{'' if iterations == 1 else 's'}, {tokens}"
    return f"{state} ({numbers})"


def report_lines(job: JobView) -> list[str]:
    """The worker's report, which is the answer to the task, after an empty line; nothing without a report."""
    message = (job.report.message if job.report else None) or ""
    return ["", *shown_lines(message)] if message.strip() else []


def shown_lines(text: str) -> list[str]:
    """The lines of a text, safe to print."""
    return escape_text(text.replace("\r\n", "\n")).strip("\n").split("\n")


def metrics_line(metrics: Any) -> str:
    """The metrics of a worker's `result` event in one line; empty if they are missing or invalid."""
    try:
        values = msgspec.convert(metrics, _Metrics)
    except msgspec.ValidationError:
        return ""
    return (
        f"{values.llm_requests} model requests, {values.llm_seconds:.1f} s; "
        f"{values.tool_seconds:.1f} s in tools, {values.worker_seconds:.1f} s in the worker; "
        f"{values.events_sent} events sent, {values.events_resent} resent; "
        f"{values.retries} retries, {values.restarts} restarts"
    )


class _Metrics(msgspec.Struct, frozen=True):
    llm_requests: int
    llm_seconds: float
    tool_seconds: float
    worker_seconds: float
    events_sent: int
    events_resent: int
    retries: int
    restarts: int


def _text(data: dict[str, Any], field: str) -> str:
    value = data.get(field)
    return value if isinstance(value, str) else ""


def _lines(text: str) -> list[str]:
    lines = (line.rstrip() for line in shown_lines(text))
    return [fit(line, LINE_WIDTH) for line in lines if line]


def _ends(lines: list[str], limit: int = OUTPUT_LINES) -> list[str]:
    if len(lines) <= limit:
        return lines
    half = limit // 2
    return [*lines[:half], "…", *lines[-half:]]
