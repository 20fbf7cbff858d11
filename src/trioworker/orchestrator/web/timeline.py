"""A job's timeline, as lanes of spans: from the worker's trace, or from its events if there is no trace."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import msgspec

from trioworker.orchestrator.readable_events import is_failed_command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trioworker.orchestrator.views import JobView, StoredEvent

MAX_TRACE_BYTES = 16 * 1024 * 1024
"""Size of the largest trace that is read, in bytes: about 100,000 spans. Larger ones need a trace viewer."""
MAX_SPANS = 1500
"""Spans that are drawn: the longest ones. Shorter ones would be thinner than a pixel."""


class Span(msgspec.Struct, frozen=True):
    """A span in a lane. Times are seconds since the start of the timeline; `open` means that it hasn't ended."""

    name: str
    kind: str
    began: float
    ended: float
    open: bool = False
    failed: bool = False


class Lane(msgspec.Struct, frozen=True):
    """The spans of one actor, or of one of its concurrent activities."""

    name: str
    spans: list[Span]


class Timeline(msgspec.Struct, frozen=True):
    """The whole timeline. `source` is `trace` or `events`; `seconds` is its length."""

    source: str
    seconds: float
    lanes: list[Lane]


def read_trace(path: Path) -> Timeline | None:
    """The timeline of a trace file, which may still be written to. None: it is missing, too large, or not a trace."""
    try:
        if path.stat().st_size > MAX_TRACE_BYTES:
            return None
        return from_trace(path.read_bytes())
    except OSError:
        return None


def from_trace(content: bytes) -> Timeline | None:
    """The timeline of a Chrome trace. None: it is empty, or not in the form that `--trace` writes."""
    # While the worker runs, the closing bracket is missing, and the last event may be incomplete.
    written = content.rstrip().removesuffix(b"\n]")
    for text in (written, written[: written.rfind(b",\n")]):
        try:
            events = msgspec.json.decode(text + b"\n]", type=list[dict[str, Any]])
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        return _timeline(events)
    return None


def from_events(job: JobView, events: Sequence[StoredEvent]) -> Timeline:
    """A timeline of two lanes. Replies, which raise the token count, took the time since the event before them; tool
    calls last until their result.
    """
    model: list[Span] = []
    tools: list[Span] = []
    running: dict[str, StoredEvent] = {}
    idle_since, counted = job.created, 0
    for event in events:
        call = str(event.data.get("tool_call_id") or event.data.get("tool_name") or "")
        tokens = event.usage.input_tokens + event.usage.output_tokens
        if tokens > counted and event.event_type in {"message", "tool_use"}:
            counted = tokens
            model.append(Span("model", "llm", idle_since - job.created, event.at - job.created))
        if event.event_type == "tool_use":
            running[call] = event
        elif event.event_type == "tool_result" and (use := running.pop(call, None)) is not None:
            failed = not event.data.get("success") or is_failed_command(event.data)
            tools.append(_tool(job, use, event.at, failed=failed))
        idle_since = event.at
    until = time.time() if job.ended is None else job.ended
    tools += [_tool(job, use, until, is_open=job.ended is None) for use in running.values()]
    return Timeline("events", max(until - job.created, 0.001), [Lane("model", model), Lane("tools", tools)])


def _tool(job: JobView, use: StoredEvent, until: float, *, failed: bool = False, is_open: bool = False) -> Span:
    name = str(use.data.get("tool_name") or "tool")
    return Span(name, "tool", use.at - job.created, until - job.created, is_open, failed)


def _timeline(events: list[dict[str, Any]]) -> Timeline | None:
    names: dict[tuple[int, int], str] = {}
    orders: dict[tuple[int, int], float] = {}
    spans: dict[tuple[int, int], list[Span]] = {}
    open_spans: dict[tuple[int, int], list[dict[str, Any]]] = {}
    last: dict[int, float] = {}
    for event in events:
        process, thread = int(event.get("pid", 0)), int(event.get("tid", 0))
        lane, at = (process, thread), float(event.get("ts", 0.0)) / 1e6
        args = cast("dict[str, Any]", event.get("args") or {})
        last[process] = max(last.get(process, 0.0), at + float(event.get("dur", 0.0)) / 1e6)
        match event.get("ph"):
            case "M" if event.get("name") == "thread_name":
                names[lane] = str(args.get("name", thread))
            case "M" if event.get("name") == "thread_sort_index":
                orders[lane] = process * 1e9 + float(args.get("sort_index", 0))
            case "X":
                spans.setdefault(lane, []).append(_span(event, at + float(event.get("dur", 0.0)) / 1e6, args))
            case "B":
                open_spans.setdefault(lane, []).append(event)
            case "E" if open_spans.get(lane):
                spans.setdefault(lane, []).append(_span(open_spans[lane].pop(), at, args))
            case _:
                pass
    newest = max(last, default=0)
    for (process, thread), left in open_spans.items():
        # The open spans of an earlier worker process ended when it was killed.
        spans.setdefault((process, thread), []).extend(
            _span(event, last[process], {}, is_open=process == newest) for event in left
        )
    return _relative_to_start(names, orders, spans)


def _span(event: dict[str, Any], ended: float, args: dict[str, Any], *, is_open: bool = False) -> Span:
    began = float(event.get("ts", 0.0)) / 1e6
    return Span(
        str(event.get("name", "")),
        str(event.get("cat", "")),
        began,
        max(began, ended),
        is_open,
        "error" in args,
    )


def _relative_to_start(
    names: dict[tuple[int, int], str], orders: dict[tuple[int, int], float], spans: dict[tuple[int, int], list[Span]]
) -> Timeline | None:
    all_spans = [span for lane in spans.values() for span in lane]
    if not all_spans:
        return None
    start = min(span.began for span in all_spans)
    kept = {id(span) for span in sorted(all_spans, key=lambda span: span.began - span.ended)[:MAX_SPANS]}
    lanes = [
        Lane(
            names.get(key, "?"),
            # Outer spans first: inner ones are drawn over them.
            sorted(
                (
                    msgspec.structs.replace(span, began=span.began - start, ended=span.ended - start)
                    for span in spans[key]
                    if id(span) in kept
                ),
                key=lambda span: (span.began, -span.ended),
            ),
        )
        for key in sorted(spans, key=lambda key: orders.get(key, 0.0))
    ]
    return Timeline("trace", max(max(span.ended for span in all_spans) - start, 0.001), lanes)
