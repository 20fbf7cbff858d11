"""Reads a trace file as a viewer does: spans from their begin and end events, which must nest within each thread."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Slice:
    """A span as it is shown; `ended` is None if it is unfinished. Times are in microseconds."""

    name: str
    kind: str
    track: str
    began: float
    args: dict[str, Any]
    process: int
    ended: float | None = None

    @property
    def seconds(self) -> float:
        assert self.ended is not None, f"{self.name} did not end"
        return (self.ended - self.began) / 1e6


@dataclass
class Trace:
    """The content of a trace file; `counters` are the values of each counter, in order."""

    complete: bool
    slices: list[Slice] = field(default_factory=list[Slice])
    instants: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    counters: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    processes: dict[int, str] = field(default_factory=dict[int, str])

    def named(self, name: str) -> list[Slice]:
        return [slice_ for slice_ in self.slices if slice_.name == name]

    def of_kind(self, kind: str) -> list[Slice]:
        return [slice_ for slice_ in self.slices if slice_.kind == kind]

    def marks(self, name: str) -> list[tuple[str, dict[str, Any]]]:
        """Track and arguments of the instants of that name."""
        return [(mark["track"], mark["args"]) for mark in self.instants if mark["name"] == name]


def read_trace(path: Path) -> Trace:
    """Read a trace file, whose array may lack its end."""
    text = path.read_text()
    trace = Trace(complete=text.endswith("]\n"))
    events: list[dict[str, Any]] = json.loads(text if trace.complete else text + "]")
    threads: dict[tuple[int, int], str] = {}
    open_slices: dict[tuple[int, int], list[Slice]] = {}
    for event in events:
        thread = (event["pid"], event["tid"])
        args = event.get("args", {})
        match event["ph"]:
            case "M" if event["name"] == "thread_name":
                threads[thread] = args["name"]
            case "M" if event["name"] == "process_name":
                trace.processes[event["pid"]] = args["name"]
            case "M":
                continue
            case "B":
                new = Slice(event["name"], event["cat"], threads[thread], event["ts"], args, event["pid"])
                open_slices.setdefault(thread, []).append(new)
                trace.slices.append(new)
            case "X":
                new = Slice(event["name"], event["cat"], threads[thread], event["ts"], args, event["pid"])
                new.ended = new.began + event.get("dur", 0.0)
                last_open = open_slices.get(thread)
                assert not last_open or last_open[-1].began <= new.began
                trace.slices.append(new)
            case "E":
                last = open_slices[thread].pop()
                assert event["ts"] >= last.began
                last.ended = event["ts"]
                last.args = {**last.args, **args}
            case "i":
                trace.instants.append({**event, "args": args, "track": threads[thread]})
            case "C":
                trace.counters.setdefault(event["name"], []).append(args["value"])
            case other:
                raise AssertionError(f"unexpected phase: {other}")
    return trace
