"""The lines that an edit changed, numbered as `read_file` shows them, so that the model sees the result."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from trioworker.protocol.text import truncate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_LINES = 10
"""Changed lines that a result shows; the model knows what it wrote."""
MAX_LINE_BYTES = 500


def changed_lines(text: str, spans: Iterable[tuple[int, int]], limit: int = MAX_LINES) -> list[str]:
    """The lines that the spans touch, as `{number}<TAB>{line}`; at most `limit`, and `…` if there are more.

    `text` has `\\n` as line endings. Where lines were only removed, those around the gap are shown.
    """
    lines = list(islice(_touched(text, sorted(spans)), limit + 1))
    shown = [f"{number}\t{truncate(line, MAX_LINE_BYTES)}" for number, line in lines[:limit]]
    return [*shown, "…"] if len(lines) > limit else shown


def _touched(text: str, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, str]]:
    """The number and text of each line that is touched, once."""
    number, start = 1, 0
    for first, last in spans:
        is_gap = first == last and (first == 0 or text.startswith("\n", first - 1))
        # A change that ends with a newline doesn't touch the next line.
        end = last - 1 if last > first and text.startswith("\n", last - 1) else last
        at = max(first - 1 if is_gap else first, start)
        line_start = text.rfind("\n", start, at) + 1 or start
        number += text.count("\n", start, line_start)
        start = line_start
        while start <= min(end, len(text) - 1):
            stop = text.find("\n", start)
            stop = len(text) if stop < 0 else stop
            yield number, text[start:stop]
            number, start = number + 1, stop + 1
