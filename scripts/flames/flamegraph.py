"""A flame graph of a pyinstrument session: the width of a box is the time that its function and those it called took.

What the event loop waited for is left out: the picture is of the worker's own time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flames.svg import box, page, text
from pyinstrument import processors
from pyinstrument.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyinstrument.frame import Frame

WIDTH = 1400.0
ROW = 15.0
TOP = 24.0
LEAST_SHARE = 0.0007
"""Of the whole: a pixel. What took less is not drawn."""
COLOURS = (
    ("trioworker/", "#f4a259"),
    ("httpx/", "#8cb9de"),
    ("httpcore/", "#8cb9de"),
    ("h11/", "#8cb9de"),
    ("trio/", "#a3cf9b"),
)
OTHER = "#d9d4cc"


def flamegraph(session: Path) -> str:
    """The picture, as SVG."""
    root = Session.load(str(session)).root_frame()
    # The machinery of imports is folded away, and what was called again and again made one.
    root = processors.aggregate_repeated_calls(processors.remove_importlib(root, {}), {})
    if root is None:
        raise ValueError(f"{session}: no samples")
    total = _worked(root)
    boxes = list(_boxes(root, 0.0, 0, total))
    depth = max(row for row, _ in boxes) + 1
    title = f"{total:.2f} s of the worker's own time; orange: trioworker, blue: HTTP, green: trio"
    return page(WIDTH, TOP + depth * ROW + 6, text(4, 15, title), *(drawn for _, drawn in boxes))


def _boxes(frame: Frame, x: float, row: int, total: float) -> Iterator[tuple[int, str]]:
    """Row and drawing of the frame and of all that it called; `x` is in seconds."""
    seconds = _worked(frame)
    if seconds < total * LEAST_SHARE:
        return
    scale = WIDTH / total
    place = f"{frame.file_path_short}:{frame.line_no}"
    more = f"{frame.function} ({place}): {seconds * 1000:.1f} ms, {seconds / total:.1%}"
    colour = next((colour for start, colour in COLOURS if place.startswith(start)), OTHER)
    yield row, box(x * scale, TOP + row * ROW, seconds * scale, ROW - 1, colour, frame.function, more)
    for child in sorted(frame.children, key=_worked, reverse=True):
        yield from _boxes(child, x, row + 1, total)
        x += _worked(child)


def _worked(frame: Frame) -> float:
    """Seconds in the frame, the waiting in it left out."""
    if frame.function == "epoll.poll":
        return 0.0
    return frame.time - sum(child.time - _worked(child) for child in frame.children)
