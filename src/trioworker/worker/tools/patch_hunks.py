"""Applies the hunks of a patch to a text: all of them, or none."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

from trioworker.errors import ToolError
from trioworker.worker.tools.edits import Edited, check_size
from trioworker.worker.tools.line_ends import Change, apply_changes, flat
from trioworker.worker.tools.near_text import where_it_nearly_matches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trioworker.worker.tools.patch_format import Hunk

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
        self._lines = content.split("\n")
        if not self._lines[-1]:
            self._lines.pop()
        self._starts = [*accumulate((len(line) + 1 for line in self._lines), initial=0)]
        self._starts[-1] = len(content)
        self._exact = _Index(self._lines)
        self._trimmed = _Index([line.rstrip() for line in self._lines])
        self._stripped = _Index([line.strip() for line in self._lines])
        self._next = 0

    def find(self, hunk: Hunk) -> int:
        """The index of the line where a hunk starts. The next one is searched for after it."""
        for line in hunk.after:
            self._next = self._behind(line)
        old = [line for mark, line in hunk.lines if mark != "+"]
        if not old:
            return self._next if hunk.after else len(self._lines)
        # A blank line at the end may only separate the hunk from what follows in the patch.
        candidates = [old, old[:-1]] if len(old) > 1 and hunk.lines[-1] == (" ", "") else [old]
        for lines in candidates:
            for index, wanted in ((self._exact, lines), (self._trimmed, [line.rstrip() for line in lines])):
                found = index.places(wanted, self._next)
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
        if hunk.at_end and found[-1] + size == len(self._lines):
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
        if end == len(self._lines) and new and self._content and not self._content.endswith("\n"):
            # The file has no newline at its end, and must not get one.
            text = text.removesuffix("\n")
            if start == end:
                text = "\n" + text
        return Change(self._starts[start], self._starts[end], text)


class _Index:
    """Finds lines in lines, by one search in one text: comparing lists at each line would be quadratic."""

    def __init__(self, lines: list[str]) -> None:
        self._text = "".join(["\n", *(f"{line}\n" for line in lines)])
        self._starts = [*accumulate((len(line) + 1 for line in lines), initial=0)]

    def places(self, wanted: list[str], start: int) -> list[int]:
        """The indices from `start` on where the lines occur: the first few, and the last."""
        return self._found("".join(["\n", *(f"{line}\n" for line in wanted)]), start)

    def starting(self, wanted: str, start: int) -> list[int]:
        """The same for lines that start with a text."""
        return self._found(f"\n{wanted}", start)

    def _found(self, text: str, start: int) -> list[int]:
        found: list[int] = []
        offset = self._text.find(text, self._starts[start])
        while offset >= 0 and len(found) <= MAX_PLACES:
            found.append(bisect_left(self._starts, offset))
            offset = self._text.find(text, offset + 1)
        last = self._text.rfind(text) if offset >= 0 else -1
        return [*found, bisect_left(self._starts, last)] if last >= 0 else found
