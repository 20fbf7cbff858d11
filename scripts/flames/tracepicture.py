"""A picture of a trace file for a page that can't open Perfetto: the actors' tracks over the job's time."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from flames.svg import box, line, page, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WIDTH = 1200.0
LEFT = 130.0
ROW = 16.0
TOP = 34.0
GAP = 8.0
CURVE = 28.0
"""Pixels: of the page, of what stands left of the tracks, of a row, above the first, between tracks, of a counter."""
COLOURS = {
    "job": "#e4e0d8",
    "actor": "#eeece6",
    "llm": "#8cb9de",
    "request": "#b9d3e8",
    "retry": "#e0645c",
    "tool": "#f4a259",
    "wait": "#d5cfe6",
}
TICKS = 10
"""At the most, at round numbers."""


class Drawing:
    """The parts of a picture, and the scale of its time."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        times = [event["ts"] for event in events if event["ph"] != "M"]
        self.began, self.ended = min(times), max(times)
        self.parts: list[str] = []
        self.y = TOP

    def x(self, time: float) -> float:
        return LEFT + (time - self.began) / (self.ended - self.began) * (WIDTH - LEFT - 10)

    def axis(self) -> None:
        duration = self.ended - self.began
        decade = 10.0 ** math.floor(math.log10(duration / TICKS))
        step = next(decade * factor for factor in (1, 2, 5, 10) if duration / (decade * factor) <= TICKS)
        for number in range(int(duration / step) + 1):
            x = self.x(self.began + number * step)
            self.parts.insert(0, line(x, TOP - 6, x, self.y))
            self.parts.append(text(x, TOP - 12, f"{number * step / 1000:g} ms", anchor="middle"))

    def track(self, name: str, events: list[dict[str, Any]]) -> None:
        rows = 1
        self.parts.append(text(4, self.y + 12, name))
        for begin, end, depth in _spans(events):
            ended = end["ts"] if end else self.ended
            said = {**begin.get("args", {}), **(end.get("args", {}) if end else {"unfinished": True})}
            more = f"{begin['name']}: {(ended - begin['ts']) / 1000:.2f} ms {said}"
            x, y = self.x(begin["ts"]), self.y + depth * ROW
            colour = COLOURS[begin["cat"]]
            self.parts.append(box(x, y, self.x(ended) - x, ROW - 2, colour, begin["name"], more))
            rows = max(rows, depth + 1)
        for mark in (event for event in events if event["ph"] == "i"):
            x = self.x(mark["ts"])
            self.parts.append(line(x, self.y - 3, x, self.y + rows * ROW, "#c22"))
            self.parts.append(text(x - 3, self.y + rows * ROW + 6, mark["name"], colour="#c22", anchor="end"))
        self.y += rows * ROW + GAP

    def curve(self, name: str, points: list[tuple[float, float]]) -> None:
        most = max(value for _, value in points) or 1
        self.parts.append(text(4, self.y + 12, name))
        self.parts.append(text(LEFT - 6, self.y + 12, f"{most:.3g}", colour="#888", anchor="end"))
        bottom = self.y + CURVE
        path = f"M{LEFT} {bottom}"
        for time, value in points:
            path += f"H{self.x(time):.1f}V{bottom - value / most * (CURVE - 4):.1f}"
        self.parts.append(f'<path d="{path}H{self.x(self.ended):.1f}V{bottom}Z" fill="#cfdccb"/>')
        self.y = bottom + GAP


def picture(file: Path) -> str:
    """The picture, as SVG, of the last process in the file."""
    content = file.read_text().rstrip()
    events: list[dict[str, Any]] = json.loads(content if content.endswith("]") else content + "]")
    last = max(event["pid"] for event in events)
    events = [event for event in events if event["pid"] == last]
    drawing = Drawing(events)
    threads = {event["tid"]: event["args"]["name"] for event in events if event.get("name") == "thread_name"}
    order = {event["tid"]: event["args"]["sort_index"] for event in events if event.get("name") == "thread_sort_index"}
    for thread in sorted(threads, key=lambda thread: order[thread]):
        drawing.track(threads[thread], [event for event in events if event["tid"] == thread])
    counters: dict[str, list[tuple[float, float]]] = {}
    for event in events:
        if event["ph"] == "C":
            counters.setdefault(event["name"], []).append((event["ts"], event["args"]["value"]))
    for name, points in counters.items():
        if any(value for _, value in points):
            drawing.curve(name, points)
    drawing.axis()
    return page(WIDTH, drawing.y, *drawing.parts)


def _spans(events: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None, int]]:
    """Begin, end and depth of each span; the end is None for one that was open when the worker died."""
    is_open: list[dict[str, Any]] = []
    for event in events:
        if event["ph"] == "B":
            is_open.append(event)
        elif event["ph"] == "E":
            begin = is_open.pop()
            yield begin, event, len(is_open)
    for depth, begin in enumerate(is_open):
        yield begin, None, depth
