#!/usr/bin/env python3
"""Draws a trace file as SVG, for a page that can't open Perfetto: the actors' tracks over the job's time.

docs/trace.svg is made by:

    TRIOWORKER_TRACE=trace.json scripts/try
    scripts/trace_picture.py trace.json > docs/trace.svg
"""

from __future__ import annotations

import json
import math
import sys
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 1200.0
LEFT = 130.0
ROW = 16.0
TOP = 34.0
GAP = 8.0
CURVE = 28.0
"""Pixels: the page, the margin left of the tracks, a row, the margin above, the gap between tracks, a counter."""
CHARACTER = 5.9
"""Width of a character in pixels, rounded up."""
COLOURS = {
    "job": "#e4e0d8",
    "actor": "#eeece6",
    "llm": "#8cb9de",
    "request": "#b9d3e8",
    "retry": "#e0645c",
    "tool": "#f4a259",
    "wait": "#d5cfe6",
}
MAX_TICKS = 10


class Drawing:
    """The parts of a picture, and the scale of its time."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        times = [event["ts"] for event in events if event["ph"] != "M"]
        self.start, self.end = min(times), max(times)
        self.parts: list[str] = []
        self.y = TOP

    def x(self, time: float) -> float:
        return LEFT + (time - self.start) / (self.end - self.start) * (WIDTH - LEFT - 10)

    def axis(self) -> None:
        duration = self.end - self.start
        decade = 10.0 ** math.floor(math.log10(duration / MAX_TICKS))
        step = next(decade * factor for factor in (1, 2, 5, 10) if duration / (decade * factor) <= MAX_TICKS)
        for number in range(int(duration / step) + 1):
            x = self.x(self.start + number * step)
            self.parts.insert(0, line(x, TOP - 6, x, self.y))
            self.parts.append(text(x, TOP - 12, f"{number * step / 1000:g} ms", anchor="middle"))

    def track(self, name: str, events: list[dict[str, Any]]) -> None:
        rows = 1
        self.parts.append(text(4, self.y + 12, name))
        for opened, closed, depth in spans(events):
            end = closed["ts"] if closed else self.end
            attributes = {**opened.get("args", {}), **(closed.get("args", {}) if closed else {"unfinished": True})}
            title = f"{opened['name']}: {(end - opened['ts']) / 1000:.2f} ms {attributes}"
            x, y = self.x(opened["ts"]), self.y + depth * ROW
            self.parts.append(box(x, y, self.x(end) - x, ROW - 2, COLOURS[opened["cat"]], opened["name"], title))
            rows = max(rows, depth + 1)
        for mark in (event for event in events if event["ph"] == "i"):
            x = self.x(mark["ts"])
            self.parts.append(line(x, self.y - 3, x, self.y + rows * ROW, "#c22"))
            self.parts.append(text(x - 3, self.y + rows * ROW + 6, mark["name"], colour="#c22", anchor="end"))
        self.y += rows * ROW + GAP

    def curve(self, name: str, points: list[tuple[float, float]]) -> None:
        maximum = max(value for _, value in points) or 1
        self.parts.append(text(4, self.y + 12, name))
        self.parts.append(text(LEFT - 6, self.y + 12, f"{maximum:.3g}", colour="#888", anchor="end"))
        bottom = self.y + CURVE
        path = f"M{LEFT} {bottom}"
        for time, value in points:
            path += f"H{self.x(time):.1f}V{bottom - value / maximum * (CURVE - 4):.1f}"
        self.parts.append(f'<path d="{path}H{self.x(self.end):.1f}V{bottom}Z" fill="#cfdccb"/>')
        self.y = bottom + GAP


def picture(file: Path) -> str:
    """The SVG of the last process in the file."""
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
    return page(WIDTH, drawing.y, drawing.parts)


def spans(events: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None, int]]:
    """Start event, end event and depth of each span; the end is None for one that was open when the worker died."""
    stack: list[dict[str, Any]] = []
    for event in events:
        if event["ph"] == "B":
            stack.append(event)
        elif event["ph"] == "E":
            opened = stack.pop()
            yield opened, event, len(stack)
    for depth, opened in enumerate(stack):
        yield opened, None, depth


def page(width: float, height: float, parts: list[str]) -> str:
    font = 'font-family="monospace" font-size="10"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" {font}>'
    style = "<style>rect:hover{stroke:#000}text{pointer-events:none}</style>"
    return "\n".join((head, style, f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>', *parts, "</svg>\n"))


def box(x: float, y: float, width: float, height: float, colour: str, label: str, title: str) -> str:
    """A box with as much of its label as fits; the title is shown when pointed at."""
    shape = (
        f'<rect x="{x:.2f}" y="{y:g}" width="{max(width, 0.4):.2f}" height="{height:g}" rx="1" fill="{colour}">'
        f"<title>{escape(title)}</title></rect>"
    )
    characters = int((width - 4) / CHARACTER)
    return shape + (text(x + 2, y + height - 4, label[:characters]) if characters > 2 else "")


def text(x: float, y: float, content: str, *, colour: str = "#222", anchor: str = "start") -> str:
    return f'<text x="{x:.2f}" y="{y:g}" fill="{colour}" text-anchor="{anchor}">{escape(content)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str = "#ddd") -> str:
    return f'<line x1="{x1:.2f}" y1="{y1:g}" x2="{x2:.2f}" y2="{y2:g}" stroke="{colour}"/>'


if __name__ == "__main__":
    sys.stdout.write(picture(Path(sys.argv[1])))
