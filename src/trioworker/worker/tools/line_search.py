"""Finds the lines of a text that match a pattern, block by block, and the lines around them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from trioworker.worker.tools.excerpt import excerpt
from trioworker.worker.tools.line_blocks import OVERLAP_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from trioworker.worker.tools.line_blocks import Block
    from trioworker.worker.tools.regex import Pattern


class Hit(NamedTuple):
    """A line that matches: its number, and the offsets of the line and of the match in the block."""

    number: int
    start: int
    end: int
    match: tuple[int, int]


class Line(NamedTuple):
    """A line to show."""

    number: int
    text: str
    is_match: bool


class Finder(Protocol):
    """Finds the lines that match, in the blocks of one file in their order."""

    def hits(self, block: Block) -> Iterator[Hit]:
        """The lines of the block that match."""
        ...


class LineFinder:
    """For a pattern that matches within lines. Each line is found once, also if it comes in pieces."""

    def __init__(self, pattern: Pattern) -> None:
        self._pattern = pattern
        self._last = 0

    def hits(self, block: Block) -> Iterator[Hit]:
        """The lines of the block that match."""
        text, position = block.text, block.start
        if self._last == block.number:
            position = text.find(b"\n") + 1 or len(text)
        number, counted = block.number, 0
        while position < len(text):
            found = self._pattern.search(text, position)
            if found is None or found.start() >= len(text):
                return
            if block.is_unfinished and found.end() == len(text) and len(text) - found.start() < OVERLAP_BYTES:
                # What follows may decide whether it matches (`$`, `\b`); the next piece has it whole.
                return
            start, end = _bounds(text, found.start())
            number += text.count(b"\n", counted, start)
            counted = start
            self._last = number
            yield Hit(number, start, end, (found.start(), min(found.end(), end)))
            position = end + 1


class SpanFinder:
    """For a pattern that may match across lines, in a text that is one block. All lines of a match are found."""

    def __init__(self, pattern: Pattern, before_search: Callable[[], None] = lambda: None) -> None:
        """`before_search` may raise: each search may read the whole text, so all of them may take its square."""
        self._pattern = pattern
        self._before_search = before_search

    def hits(self, block: Block) -> Iterator[Hit]:
        """The lines that matches are on."""
        text = block.text
        number, counted, position = block.number, 0, 0
        shown = 0
        while position < len(text):
            self._before_search()
            found = self._pattern.search(text, position)
            if found is None or found.start() >= len(text):
                return
            # A match that ends with a line end is not on the line after it.
            last = max(found.start(), found.end() - 1)
            at = found.start()
            while at <= last:
                start, end = _bounds(text, at)
                number += text.count(b"\n", counted, start)
                counted = start
                if number > shown:
                    shown = number
                    yield Hit(number, start, end, (at, min(found.end(), end)))
                at = end + 1
            position = max(found.end(), found.start() + 1)


def matching_lines(finder: Finder, blocks: Iterable[Block]) -> Iterator[Line]:
    """The lines that match."""
    for block in blocks:
        for hit in finder.hits(block):
            yield _line(block, hit)


def lines_with_context(finder: Finder, blocks: Iterable[Block], before: int, after: int) -> Iterator[Line]:
    """The lines that match, with `before` lines before and `after` lines after each. No line comes twice."""
    earlier: deque[Line] = deque(maxlen=before)
    due = 0
    for block in blocks:
        hits = list(finder.hits(block))
        position, number = (0, block.number) if hits or due else _last_lines(block, before)
        upcoming = iter(hits)
        hit = next(upcoming, None)
        while position < len(block.text):
            start, end = _bounds(block.text, position)
            if earlier and earlier[-1].number == number:
                earlier.pop()
            if hit is not None and hit.number == number:
                yield from earlier
                earlier.clear()
                yield _line(block, hit)
                hit = next(upcoming, None)
                due = after
            else:
                line = _line(block, Hit(number, start, end, (start, start)), is_match=False)
                if due and not _is_continued(block, start):
                    yield line
                    due -= 1
                else:
                    earlier.append(line)
            position, number = end + 1, number + 1


def _last_lines(block: Block, count: int) -> tuple[int, int]:
    """Offset and number of the last `count` lines."""
    position = len(block.text)
    for _ in range(count):
        if position <= 0:
            break
        position = block.text.rfind(b"\n", 0, position - 1) + 1
    return position, block.number + block.text.count(b"\n", 0, position)


def _line(block: Block, hit: Hit, *, is_match: bool = True) -> Line:
    text = excerpt(
        block.text[hit.start : hit.end],
        (hit.match[0] - hit.start, hit.match[1] - hit.start),
        is_cut_before=_is_continued(block, hit.start),
        is_cut_after=block.is_unfinished and hit.end == len(block.text),
    )
    return Line(hit.number, text, is_match)


def _is_continued(block: Block, start: int) -> bool:
    return start == 0 and block.start > 0


def _bounds(text: bytes, position: int) -> tuple[int, int]:
    """Offsets of the line at `position`, without its end."""
    end = text.find(b"\n", position)
    return text.rfind(b"\n", 0, position) + 1, end if end >= 0 else len(text)
