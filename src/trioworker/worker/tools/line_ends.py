"""Changes to a text that keep its line endings: models see and send `\\n`, and files have `\\r\\n`, or both.

A change is given in the coordinates of the text with `\\n` for each `\\r\\n`. Unchanged text stays the same byte for
byte; new lines get the line ending of their surroundings.
"""

from __future__ import annotations

import io
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from trioworker.worker.tools.common_ends import common_end, common_start

if TYPE_CHECKING:
    from collections.abc import Iterable


MAX_SPANS = 1000
"""Changed parts that are remembered, to show them; a result shows fewer."""


class Change(NamedTuple):
    """Replace the characters from `start` to before `end` by `text`."""

    start: int
    end: int
    text: str


class Changed(NamedTuple):
    """A text after changes.

    Attributes:
        text: the new text, with its line endings.
        spans: start and end of the first `MAX_SPANS` changed parts, in the coordinates of the new text with `\\n` only.
    """

    text: str
    spans: list[tuple[int, int]]


def flat(text: str) -> str:
    """The text with `\\n` for each `\\r\\n`."""
    return text.replace("\r\n", "\n")


def narrowed(change: Change, old: str) -> Change:
    """The change without what `old`, the text that it replaces, and the new text have in common at both ends."""
    prefix = common_start(old, change.text)
    suffix = common_end(old, change.text, min(len(old), len(change.text)) - prefix)
    return Change(change.start + prefix, change.end - suffix, change.text[prefix : len(change.text) - suffix])


def apply_changes(text: str, changes: Iterable[Change]) -> Changed:
    """Apply changes, which are in order and don't overlap."""
    ends = _LineEnds(text)
    # Not a list of pieces: a change of each character of a large file would take gigabytes.
    result = io.StringIO()
    spans: list[tuple[int, int]] = []
    position, shift = 0, 0
    for change in changes:
        result.write(text[position : ends.original(change.start)])
        result.write(ends.adapted(change))
        position = ends.original(change.end)
        size = len(flat(change.text))
        if len(spans) < MAX_SPANS:
            spans.append((change.start + shift, change.start + shift + size))
        shift += size - (change.end - change.start)
    result.write(text[position:])
    return Changed(result.getvalue(), spans)


class _LineEnds:
    """Where the line endings of a text are, and which of them are `\\r\\n`."""

    def __init__(self, text: str) -> None:
        self._positions = array("I")
        self._pairs = array("I", [0])
        """How many of the first N line endings are `\\r\\n`, by N."""
        if "\r\n" not in text:
            return
        pairs, found = 0, text.find("\n")
        while found >= 0:
            pairs += text.startswith("\r", found - 1) and found > 0
            self._positions.append(found - pairs)
            self._pairs.append(pairs)
            found = text.find("\n", found + 1)

    def original(self, position: int) -> int:
        """The position in the text of one in the flat text."""
        return position + self._pairs[bisect_left(self._positions, position)]

    def adapted(self, change: Change) -> str:
        """The new text with the line ending of its surroundings: the next one, or the last of the text."""
        if not self._positions or "\n" not in change.text:
            return change.text
        index = min(bisect_left(self._positions, change.start), len(self._positions) - 1)
        is_pair = self._pairs[index + 1] > self._pairs[index]
        return flat(change.text).replace("\n", "\r\n") if is_pair else flat(change.text)
