"""What a job's time went to, as lanes of spans: from the worker's trace, or from its events where there is none."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trioworker.orchestrator.views import JobView, StoredEvent

MAX_TRACE_BYTES = 16 * 1024 * 1024
"""Of a trace that is read; 16 MB are some 100,000 spans. A longer one is left to a viewer of traces."""
MAX_SPANS = 1500
"""Spans that are drawn: the longest, the others would be thinner than a pixel."""

CANCELLED = {"Cancelled", "BaseExceptionGroup"}
"""How a trace tells that a span was ended from outside, as actors are at the end of a job: no failure."""


class Span(msgspec.Struct, frozen=True):
    """A stretch of a lane, in seconds from the beginning. `open`: it has not ended."""

    name: str
    kind: str
    began: float
    ended: float
    open: bool = False
    failed: bool = False


class Lane(msgspec.Struct, frozen=True):
    """One actor, or one of several things that it did side by side."""

    name: str
    spans: list[Span]


class Timeline(msgspec.Struct, frozen=True):
    """`source` is `trace` or `events`; `seconds` is how long the whole is."""

    source: str
    seconds: float
    lanes: list[Lane]


def read_trace(path: Path) -> Timeline | None:
    """The time line of a trace file that may still be written. None: there is none, or too much, or it is no trace."""
    try:
        if path.stat().st_size > MAX_TRACE_BYTES:
            return None
        return from_trace(path.read_bytes())
    except OSError:
        return None


def from_trace(content: bytes) -> Timeline | None:
    """The time line of a Chrome trace. None: it is empty, or not what our tracer writes."""
    # The bracket is missing while the worker lives, and a reader may come in the middle of a write.
    whole = content.rstrip().removesuffix(b"\n]")
    for text in (whole, whole[: whole.rfind(b",\n")]):
        try:
            events = msgspec.json.decode(text + b"\n]", type=list[dict[str, Any]])
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        return _drawn(events)
    return None


def from_events(job: JobView, events: Sequence[StoredEvent]) -> Timeline:
    """A time line of two lanes: the model is asked between what the worker tells, and tools run until they answer."""
    model: list[Span] = []
    tools: list[Span] = []
    began: dict[str, StoredEvent] = {}
    idle_since = job.created
    for event in events:
        call = str(event.data.get("tool_call_id") or event.data.get("tool_name") or "")
        if not began and event.usage.input_tokens and event.event_type in {"message", "tool_use"}:
            model.append(Span("model", "llm", idle_since - job.created, event.at - job.created))
        if event.event_type == "tool_use":
            began[call] = event
        elif event.event_type == "tool_result" and (use := began.pop(call, None)) is not None:
            tools.append(_tool(job, use, event.at, failed=not event.data.get("success")))
        idle_since = event.at
    until = time.time() if job.ended is None else job.ended
    tools += [_tool(job, use, until, is_open=job.ended is None) for use in began.values()]
    return Timeline("events", max(until - job.created, 0.001), [Lane("model", model), Lane("tools", tools)])


def _tool(job: JobView, use: StoredEvent, until: float, *, failed: bool = False, is_open: bool = False) -> Span:
    name = str(use.data.get("tool_name") or "tool")
    return Span(name, "tool", use.at - job.created, until - job.created, is_open, failed)


def _drawn(events: list[dict[str, Any]]) -> Timeline | None:
    names: dict[tuple[int, int], str] = {}
    orders: dict[tuple[int, int], float] = {}
    spans: dict[tuple[int, int], list[Span]] = {}
    begun: dict[tuple[int, int], list[dict[str, Any]]] = {}
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
                begun.setdefault(lane, []).append(event)
            case "E" if begun.get(lane):
                spans.setdefault(lane, []).append(_span(begun[lane].pop(), at, args))
            case _:
                pass
    newest = max(last, default=0)
    for (process, thread), left in begun.items():
        # What a worker that was killed had open ended with it; a file that lacks its bracket is still written to.
        spans.setdefault((process, thread), []).extend(
            _span(event, last[process], {}, is_open=process == newest) for event in left
        )
    return _from_the_start(names, orders, spans)


def _span(event: dict[str, Any], ended: float, args: dict[str, Any], *, is_open: bool = False) -> Span:
    began = float(event.get("ts", 0.0)) / 1e6
    return Span(
        str(event.get("name", "")),
        str(event.get("cat", "")),
        began,
        max(began, ended),
        is_open,
        "error" in args and args["error"] not in CANCELLED,
    )


def _from_the_start(
    names: dict[tuple[int, int], str], orders: dict[tuple[int, int], float], spans: dict[tuple[int, int], list[Span]]
) -> Timeline | None:
    everything = [span for lane in spans.values() for span in lane]
    if not everything:
        return None
    start = min(span.began for span in everything)
    kept = {id(span) for span in sorted(everything, key=lambda span: span.began - span.ended)[:MAX_SPANS]}
    lanes = [
        Lane(
            names.get(key, "?"),
            # The outer before the inner, which is drawn over it.
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
    return Timeline("trace", max(max(span.ended for span in everything) - start, 0.001), lanes)
