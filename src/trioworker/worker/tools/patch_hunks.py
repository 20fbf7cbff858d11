"""Applies the hunks of a patch to a text: all of them, or none."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

from trioworker.errors import ToolError
from trioworker.worker.tools.edits import Edited, check_size
from trioworker.worker.tools.line_ends import Change, apply_changes, flat
from trioworker.worker.tools.near_text import where_it_nearly_matches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trioworker.worker.tools.patch_format import Hunk

CONVERTED_CHARACTERS = 64 * 1024
"""Characters of a text that are converted at once."""
MAX_PLACES = 20
"""Line numbers that an error lists."""


def patched(text: str, hunks: Sequence[Hunk], shown: str) -> Edited:
    """The text after the hunks, which are in file order. `shown` is the file's name for errors.

    Lines are compared exactly, and where that finds nothing, without whitespace at their ends. The lines around a
    change stay as they are in the file.

    Raises:
        ToolError: the lines of a hunk are missing or ambiguous, or nothing would change.
    """
    place = _Place(flat(text), shown)
    changes: list[Change] = []
    for number, hunk in enumerate(hunks, 1):
        place.number = number
        changes += place.changes(hunk, place.find(hunk))
    check_size(len(text) + sum(len(change.text) for change in changes), shown)
    del place
    changed = apply_changes(text, changes)
    if changed.text == text:
        raise ToolError(f"patch: it would change nothing in {shown}")
    return Edited(changed.text, changed.spans, len(hunks))


class _Place:
    """A position in a text, which moves from hunk to hunk."""

    def __init__(self, content: str, shown: str) -> None:
        self.number = 0
        self._content = content
        self._shown = shown
        self._exact = _Index(content)
        self._next = 0

    @cached_property
    def _trimmed(self) -> _Index:
        return _Index(_each_line(self._content, str.rstrip))

    @cached_property
    def _stripped(self) -> _Index:
        return _Index(_each_line(self._content, str.strip))

    def find(self, hunk: Hunk) -> int:
        """The index of the line where a hunk starts. The next one is searched for after it."""
        for line in hunk.after:
            self._next = self._behind(line)
        old = [line for mark, line in hunk.lines if mark != "+"]
        if not old:
            return self._next if hunk.after else self._exact.count
        # A blank line at the end may only separate the hunk from what follows in the patch.
        candidates = [old, old[:-1]] if len(old) > 1 and hunk.lines[-1] == (" ", "") else [old]
        for lines in candidates:
            found = self._exact.places(lines, self._next)
            found = found or self._trimmed.places([line.rstrip() for line in lines], self._next)
            if found:
                first = self._chosen(found, len(lines), hunk)
                self._next = first + len(lines)
                return first
        raise self._missing(old)

    def changes(self, hunk: Hunk, first: int) -> list[Change]:
        """The changes that a hunk makes, if its first line is the one with index `first`."""
        changes: list[Change] = []
        index = first
        for is_context, group in groupby(hunk.lines, key=lambda line: line[0] == " "):
            lines = list(group)
            removed = sum(mark != "+" for mark, _ in lines)
            if not is_context:
                changes.append(self._change(index, index + removed, [line for mark, line in lines if mark == "+"]))
            index += removed
        return changes

    def _behind(self, line: str) -> int:
        wanted = line.strip()
        found = self._stripped.places([wanted], self._next) or self._stripped.starting(wanted, self._next)
        if not found:
            behind = f" after line {self._next}" if self._next else ""
            raise ToolError(f"patch: hunk {self.number} of {self._shown}: there is no line {wanted!r}{behind}")
        return found[0] + 1

    def _chosen(self, found: list[int], size: int, hunk: Hunk) -> int:
        if hunk.at_end and found[-1] + size == self._exact.count:
            return found[-1]
        if len(found) > 1 and not hunk.after:
            lines = ", ".join(str(index + 1) for index in found[:MAX_PLACES])
            raise ToolError(
                f"patch: hunk {self.number} of {self._shown} matches at lines {lines}; "
                "add surrounding lines, or a line `@@ LINE` that names a line before it",
            )
        return found[0]

    def _missing(self, old: list[str]) -> ToolError:
        where = f"patch: hunk {self.number} of {self._shown}"
        earlier = self._exact.places(old, 0)
        if earlier:
            return ToolError(
                f"{where} matches only at line {earlier[0] + 1}, before the previous hunk; give the hunks in order"
            )
        hint = where_it_nearly_matches(self._content, "\n".join(old), "", whole_lines=True)
        return ToolError(f"{where}: its lines are not in the file; {hint}")

    def _change(self, start: int, end: int, new: list[str]) -> Change:
        text = "".join(f"{line}\n" for line in new)
        if end == self._exact.count and new and self._content and not self._content.endswith("\n"):
            # The file has no newline at its end, and must not get one.
            text = text.removesuffix("\n")
            if start == end:
                text = "\n" + text
        size = len(self._content)
        return Change(min(self._exact.starts[start], size), min(self._exact.starts[end], size), text)


class _Index:
    """Finds lines in lines, by one search in one text: comparing lists at each line would be quadratic.

    A file may have millions of lines, so there is no list of them.

    Attributes:
        count: the number of lines.
        starts: the offset of each line, and of the end.
    """

    def __init__(self, text: str) -> None:
        self._text = text if not text or text.endswith("\n") else f"{text}\n"
        self.starts = array("I", [0])
        end = self._text.find("\n")
        while end >= 0:
            self.starts.append(end + 1)
            end = self._text.find("\n", end + 1)
        self.count = len(self.starts) - 1

    def places(self, wanted: list[str], start: int) -> list[int]:
        """The indices from `start` on where the lines occur: the first few, and the last."""
        return self._found("".join(f"{line}\n" for line in wanted), start)

    def starting(self, wanted: str, start: int) -> list[int]:
        """The same for lines that start with a text."""
        return self._found(wanted, start)

    def _found(self, text: str, start: int) -> list[int]:
        found: list[int] = []
        offset = self._at_line_start(text, self.starts[start])
        while offset >= 0 and len(found) <= MAX_PLACES:
            found.append(bisect_left(self.starts, offset))
            offset = self._at_line_start(text, self.starts[found[-1] + 1])
        last = self._text.rfind(f"\n{text}") if offset >= 0 else -1
        return [*found, bisect_left(self.starts, last + 1)] if last >= 0 else found

    def _at_line_start(self, text: str, offset: int) -> int:
        """The offset of the first line from `offset` on that starts with the text, -1 if there is none."""
        if offset == len(self._text):
            return -1
        if self._text.startswith(text, offset):
            return offset
        found = self._text.find(f"\n{text}", offset)
        return found + 1 if 0 <= found < len(self._text) - 1 else -1


def _each_line(text: str, convert: Callable[[str], str]) -> str:
    """The text with each line converted, in pieces: as many short lines take many times their size."""
    pieces: list[str] = []
    start = 0
    while start < len(text):
        end = text.find("\n", start + CONVERTED_CHARACTERS) + 1 or len(text)
        pieces.append("\n".join(map(convert, text[start:end].split("\n"))))
        start = end
    return "".join(pieces)
