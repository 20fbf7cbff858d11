"""How a job's events look: as lines for a pipe, as JSON for a program, and in colour for a person (`render_rich.py`).

A printer turns events into text, and remembers when each call began, so that its result can tell how long it took.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from trioworker.local.terminal import one_line, printable
from trioworker.orchestrator.readable_output import readable_arguments, readable_output

if TYPE_CHECKING:
    from trioworker.orchestrator.views import JobView, StoredEvent

LINE_WIDTH = 200
"""Characters of a line that is cut."""
OUTPUT_LINES = 12
"""Lines of a tool's output that are shown; the job's follower wants the gist."""


class Printer(Protocol):
    """Writes events and the end of a job to standard output."""

    def show(self, event: StoredEvent) -> str:
        """An event as text, its line ends with it."""
        ...

    def end(self, job: JobView, seconds: float, /) -> str:
        """The last line, or nothing."""
        ...


class Row(NamedTuple):
    """An event in words. `who` speaks `what`; `body` are further lines; `kind` chooses the colour."""

    kind: str
    who: str
    what: str
    body: list[str]
    seconds: float | None = None


class EventFormatter:
    """Puts events into words; it remembers calls that have not ended.

    `cost` is what the worker told of the job's, in a line; empty until it has.
    """

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self.cost = ""

    def row(self, event: StoredEvent) -> Row:
        """The event in words, safe to print."""
        data = event.data
        match event.event_type:
            case "message":
                first, *rest = _lines(_text(data, "content")) or [""]
                return Row("message", "you" if data.get("role") == "user" else "agent", first, rest)
            case "tool_use":
                self._began[_text(data, "tool_call_id")] = event.at
                return Row("call", _name(data), one_line(readable_arguments(_text(data, "input")), LINE_WIDTH), [])
            case "tool_result":
                return self._result(event)
            case "result":
                kind = "done" if data.get("success") else "failed"
                self.cost = cost(data.get("metrics"))
                status = one_line(_text(data, "status") or kind, 20)
                return Row(
                    kind, "result", f"{status}: {one_line(readable_output(_text(data, 'message')), LINE_WIDTH)}", []
                )
            case kind:
                what = _text(data, "message") or msgspec.json.encode(data).decode()
                return Row("status", one_line(kind, 20), one_line(what, LINE_WIDTH), [])

    def _result(self, event: StoredEvent) -> Row:
        began = self._began.pop(_text(event.data, "tool_call_id"), None)
        lines = _lines(readable_output(_text(event.data, "output"))) or ["(no output)"]
        if len(lines) > OUTPUT_LINES:
            half = OUTPUT_LINES // 2
            lines = [*lines[:half], f"… {len(lines) - OUTPUT_LINES} more lines …", *lines[-half:]]
        kind = "result" if event.data.get("success") else "error"
        return Row(kind, _name(event.data), lines[0], lines[1:], None if began is None else event.at - began)


class PlainPrinter:
    """One line for an event, and indented ones for what it holds."""

    def __init__(self) -> None:
        self._formatter = EventFormatter()
        self._start: float | None = None

    def show(self, event: StoredEvent) -> str:
        """The seconds since the first event, who, and what."""
        self._start = event.at if self._start is None else self._start
        row = self._formatter.row(event)
        mark = {"call": "> ", "result": "< ", "error": "! "}.get(row.kind, "")
        took = "" if row.seconds is None else f"({row.seconds:.2f} s) "
        head = f"{event.at - self._start:7.2f}s {mark}{row.who}: {took}{row.what}"
        return "\n".join([head, *(f"{'':9}| {line}" for line in row.body)]) + "\n"

    def end(self, job: JobView, seconds: float, /) -> str:
        """What the job cost, and the summary."""
        return "".join(f"{line}\n" for line in (self._formatter.cost, summary(job, seconds)) if line)


class JsonPrinter:
    """One event a line, in ASCII: a terminal shows no control character of a tool."""

    def show(self, event: StoredEvent) -> str:
        """The event as `GET /jobs/ID/events` has it."""
        return json.dumps(msgspec.to_builtins(event)) + "\n"

    def end(self, _job: JobView, _seconds: float, /) -> str:
        """Nothing: every line is an event."""
        return ""


def summary(job: JobView, seconds: float) -> str:
    """The job's end in one line: how, how long, what it took, and what the worker reported."""
    report = job.report
    iterations = job.iteration if report is None or report.iterations is None else report.iterations
    tokens = f"{job.usage.input_tokens} + {job.usage.output_tokens} tokens"
    said = one_line(readable_output((report.message if report else None) or ""), LINE_WIDTH)
    state = job.state if report is not None else "not reported"
    numbers = f"{seconds:.1f} s, {iterations} iteration{'' if iterations == 1 else 's'}, {tokens}"
    return f"{state} ({numbers})" + (f": {said}" if said else "")


def cost(metrics: Any) -> str:
    """The metrics of a worker's last event in one line; nothing of a worker that has none."""
    try:
        told = msgspec.convert(metrics, _Cost)
    except msgspec.ValidationError:
        return ""
    return (
        f"{told.llm_requests} requests to the model, {told.llm_seconds:.1f} s in it; "
        f"{told.tool_seconds:.1f} s in tools, {told.worker_seconds:.1f} s in the worker; "
        f"{told.events_sent} events sent, {told.events_resent} again; {told.retries} retries, {told.restarts} restarts"
    )


class _Cost(msgspec.Struct, frozen=True):
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


def _name(data: dict[str, Any]) -> str:
    return one_line(_text(data, "tool_name"), 40)


def _lines(text: str) -> list[str]:
    return [line.rstrip()[:LINE_WIDTH] for line in printable(text).strip("\n").split("\n") if line.strip()]
