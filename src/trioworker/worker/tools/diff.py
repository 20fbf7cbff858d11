"""A unified diff of an edit, for people who watch the job.

Only the lines between the first and the last change become a list, and only those that are shown or compared: a file
of 10 MiB may have ten million lines.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from trioworker.protocol.limits import DIFF_PREVIEW_BYTES
from trioworker.worker.redaction.secret_kinds import KINDS
from trioworker.worker.redaction.secrets import marker
from trioworker.worker.tools.common_ends import common_end, common_start
from trioworker.worker.tools.line_ends import flat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_COMPARED_LINES = 400
"""Lines between the first and the last change that are compared: comparing takes quadratic time."""
CONTEXT_LINES = 3
"""Unchanged lines around a change, as in `diff -u`."""
KEY_MARK = "PRIVATE KEY"
"""What the first and the last line of any private key contain."""
MAX_KEY_LINES = 1000
"""Lines of a private key that get a mark of their own: ten times what the largest keys have."""


def unified_diff(path: str, before: str, after: str) -> str:
    """The change of a file as `diff -u` shows it, at most `DIFF_PREVIEW_BYTES` long; empty if nothing changed.

    It is cut at a line end, so that no secret is cut in half before it is redacted. Private keys are redacted before,
    since a hunk may have only their middle; no change within one is shown. In a large change all lines between the
    first and the last changed one are shown as removed and added.
    """
    change = _Change(_whole_lines(_without_keys(before)), _whole_lines(_without_keys(after)))
    if not change.removed and not change.added:
        return ""
    is_small = max(change.removed, change.added) <= MAX_COMPARED_LINES
    lines = change.compared() if is_small else change.replaced()
    return "\n".join(_first_lines([f"--- {path}", f"+++ {path}"], lines))


class _Change:
    """The part of a text that a change replaced, as offsets of whole lines, and how many lines these are."""

    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new
        same = common_start(old, new)
        self._start = old.rfind("\n", 0, same) + 1
        same = common_end(old, new, min(len(old), len(new)) - self._start)
        self._old_end, self._new_end = len(old) - same, len(new) - same
        if not (self._is_line_start(old, self._old_end) and self._is_line_start(new, self._new_end)):
            # The common end starts within a line.
            rest = old.find("\n", self._old_end) + 1 - self._old_end
            self._old_end, self._new_end = self._old_end + rest, self._new_end + rest
        self.removed = old.count("\n", self._start, self._old_end)
        self.added = new.count("\n", self._start, self._new_end)
        self._lead = _start_of_lines_before(old, self._start)
        self._trail = _end_of_lines_after(old, self._old_end)

    def compared(self) -> Iterator[str]:
        """The hunks of a small change."""
        lead, trail = self._old[self._lead : self._start], self._old[self._old_end : self._trail]
        old = lead + self._old[self._start : self._old_end] + trail
        new = lead + self._new[self._start : self._new_end] + trail
        before = self._old.count("\n", 0, self._lead)
        hunks = difflib.unified_diff(old.split("\n")[:-1], new.split("\n")[:-1], lineterm="", n=CONTEXT_LINES)
        for number, line in enumerate(hunks):
            if number > 1:
                yield _moved(line, before)

    def replaced(self) -> Iterator[str]:
        """One hunk for a large change."""
        around = self._old.count("\n", self._lead, self._start) + self._old.count("\n", self._old_end, self._trail)
        first = self._old.count("\n", 0, self._lead) + 1
        yield f"@@ -{first},{around + self.removed} +{first},{around + self.added} @@"
        yield from _marked(" ", self._old, self._lead, self._start)
        yield from _marked("-", self._old, self._start, self._old_end)
        yield from _marked("+", self._new, self._start, self._new_end)
        yield from _marked(" ", self._old, self._old_end, self._trail)

    def _is_line_start(self, text: str, position: int) -> bool:
        return position == self._start or text.startswith("\n", position - 1)


def _whole_lines(text: str) -> str:
    """The text with `\\n` at the end of each line, also the last."""
    text = flat(text)
    return text if not text or text.endswith("\n") else f"{text}\n"


def _start_of_lines_before(text: str, position: int) -> int:
    for _ in range(CONTEXT_LINES):
        position = text.rfind("\n", 0, max(position - 1, 0)) + 1
    return position


def _end_of_lines_after(text: str, position: int) -> int:
    for _ in range(CONTEXT_LINES):
        position = text.find("\n", position) + 1 or len(text)
    return position


def _marked(mark: str, text: str, start: int, end: int) -> Iterator[str]:
    while start < end:
        stop = text.find("\n", start)
        yield mark + text[start:stop]
        start = stop + 1


def _first_lines(head: list[str], lines: Iterable[str]) -> list[str]:
    """The head, and as many of the lines as fit into the limit."""
    shown = list(head)
    room = DIFF_PREVIEW_BYTES + 1 - sum(len(line.encode("utf-8", "replace")) + 1 for line in head)
    for line in lines:
        room -= len(line) + 1 if len(line) >= room else len(line.encode("utf-8", "replace")) + 1
        if room < 0:
            break
        shown.append(line)
    return [line.encode("utf-8", "replace").decode() for line in shown]


def _without_keys(text: str) -> str:
    """The text with a redaction mark in place of each line of a private key, so that lines keep their numbers."""
    for kind in KINDS:
        if kind.name.endswith("_private_key") and KEY_MARK in text:
            data = text.encode("utf-8", "surrogatepass")
            parts: list[bytes] = []
            reached = 0
            for start, end in kind.find(data):
                mark = marker(kind.name) if data.count(b"\n", start, end) <= MAX_KEY_LINES else b""
                parts += [data[reached:start], re.sub(rb"[^\n]+", mark, data[start:end])]
                reached = end
            text = b"".join([*parts, data[reached:]]).decode("utf-8", "surrogatepass")
    return text


def _moved(line: str, by: int) -> str:
    """A line of a diff, with the line numbers of a hunk's header increased."""
    if not line.startswith("@@"):
        return line
    return re.sub(r"([-+])(\d+)", lambda found: f"{found[1]}{int(found[2]) + by}", line)
