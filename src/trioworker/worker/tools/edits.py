"""Replaces quoted text of a file, exactly or not at all."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from trioworker.errors import ToolError
from trioworker.worker.tools.files import MAX_READ_BYTES, MEBIBYTE
from trioworker.worker.tools.line_ends import MAX_SPANS, Change, Changed, apply_changes, flat, narrowed
from trioworker.worker.tools.near_text import where_it_nearly_matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_EDITS = 500
"""Edits in one call: each searches the whole file."""
MAX_FAILURES = 5
"""Failed edits after which the others aren't tried: explaining each one searches the whole file."""
MAX_LINES_LISTED = 20
"""Line numbers that an error lists; more would not help."""


class Replacement(NamedTuple):
    """One edit: replaces `old` by `new`, everywhere or, by default, in the only place where it occurs."""

    old: str
    new: str
    everywhere: bool = False


class Edited(NamedTuple):
    """A text after edits, the parts that changed (see `Changed`), and how often text was replaced."""

    text: str
    spans: list[tuple[int, int]]
    replacements: int


def edited(text: str, replacements: Sequence[Replacement], shown: str) -> Edited:
    """Apply the replacements in order, each to the result of the one before. `shown` is the file's name for errors.

    Raises:
        ToolError: a text to replace is missing or ambiguous, or the result would be too large. It explains each edit
            that fails by the lines of `text`, since none is made.
    """
    original, result = flat(text), Edited(text, [], 0)
    failures: dict[int, str] = {}
    for number, replacement in enumerate(replacements):
        try:
            result = _edited_once(result, replacement, original, shown)
        except ToolError as error:
            if len(replacements) == 1:
                raise
            needed = _needed(flat(replacement.old), original, {at: flat(replacements[at].new) for at in failures})
            failures[number] = str(error) if needed is None else f"it changes what edits[{needed}] adds"
            if len(failures) == MAX_FAILURES:
                break
    if failures:
        raise ToolError(
            "\n".join(
                f"{'edits' if at else 'no edit was made, because edits'}[{number}] failed: {failure}"
                for at, (number, failure) in enumerate(failures.items())
            ),
        )
    return result


def check_size(size: int, shown: str) -> None:
    """Refuse a text of `size` bytes or characters that would be too large to edit again.

    Raises:
        ToolError: it is over `MAX_READ_BYTES`.
    """
    if size > MAX_READ_BYTES:
        limit = MAX_READ_BYTES // MEBIBYTE
        raise ToolError(f"cannot write {shown}: it would be larger than {limit} MiB and could not be read again")


def _needed(old: str, original: str, failed: dict[int, str]) -> int | None:
    """The number of the failed edit that would have added `old`, given the new texts of all that failed."""
    if not old or old in original:
        return None
    return next((number for number, new in failed.items() if old in new), None)


def _edited_once(before: Edited, replacement: Replacement, original: str, shown: str) -> Edited:
    content, old, new = flat(before.text), flat(replacement.old), replacement.new
    if "\r\n" in before.text or old != replacement.old:
        new = flat(new)
    if not old:
        if content:
            raise ToolError("old_string is empty; quote the text to replace, or use write_file for the whole file")
        return Edited(new, [(0, len(new))], before.replacements + 1)
    count = content.count(old)
    _check(original, replacement, count, shown)
    # Before replacing: a short text that occurs a million times could grow without bound.
    check_size(len(before.text) + count * (len(new) - len(old)), shown)
    pattern = narrowed(Change(0, len(old), new), old)
    changed = apply_changes(before.text, (_at(pattern, start) for start in _starts(content, old)))
    earlier = _moved(before.spans, changed, len(old) - len(new), pattern.end - pattern.start)
    return Edited(changed.text, [*earlier, *changed.spans][:MAX_SPANS], before.replacements + count)


def _check(original: str, replacement: Replacement, count: int, shown: str) -> None:
    """Refuse a replacement that can't be made. `count` is how often its text occurs after the previous edits, none of
    which is in `original`.
    """
    old, new = flat(replacement.old), flat(replacement.new)
    if old == new:
        differ = "differ only in line endings, which are kept" if replacement.old != replacement.new else "are the same"
        raise ToolError(f"old_string and new_string {differ}; nothing would change")
    if count == 0 and old in original:
        raise ToolError(f"a previous edit changes its old_string on line {_lines(original, old)}; merge the edits")
    if count == 0:
        raise ToolError(f"old_string is not in {shown}; {where_it_nearly_matches(original, old, new)}")
    if count > 1 and not replacement.everywhere:
        listed = original.count(old)
        places = f"{listed} times in {shown}, on lines {_lines(original, old)}"
        if listed < 2:
            places = f"{count} times in {shown} after the edits before it"
        raise ToolError(f"old_string occurs {places}; include more surrounding lines, or set replace_all")


def _at(pattern: Change, start: int) -> Change:
    return Change(pattern.start + start, pattern.end + start, pattern.text)


def _starts(content: str, old: str) -> Iterator[int]:
    found = content.find(old)
    while found >= 0:
        yield found
        found = content.find(old, found + len(old))


def _moved(spans: Iterable[tuple[int, int]], changed: Changed, shrinkage: int, size: int) -> list[tuple[int, int]]:
    """Where spans are after later changes, each of which replaced `size` characters, `shrinkage` more than it added."""
    ends = [start + number * shrinkage + size for number, (start, _) in enumerate(changed.spans)]

    def moved(position: int) -> int:
        return position - bisect_right(ends, position) * shrinkage

    return [(moved(start), moved(end)) for start, end in spans]


def _lines(content: str, old: str) -> str:
    numbers: list[str] = []
    line, position = 1, 0
    for start in _starts(content, old):
        if len(numbers) == MAX_LINES_LISTED:
            numbers.append("…")
            break
        line += content.count("\n", position, start)
        numbers.append(str(line))
        position = start
    return ", ".join(numbers)
