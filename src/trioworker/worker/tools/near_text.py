"""Explains why quoted text isn't in a file, and shows the lines that were probably meant, ready to copy.

Models alter what they copy: they add line numbers or escapes, and use other quotes, dashes and whitespace.
All searches take linear time, since the text comes from a model and may nearly match everywhere.
"""

from __future__ import annotations

import html
import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from itertools import accumulate

from trioworker.worker.tools.cut import first_lines
from trioworker.worker.tools.excerpt import excerpt
from trioworker.worker.tools.redaction_marks import first_mark

MAX_LINES = 40
MAX_BYTES = 4_000
"""Lines and bytes of the file that an error quotes."""
MAX_NORMALIZED = 1_000
"""Maximum length of a line that is normalized: a run of combining characters takes quadratic time."""
MIN_SIMILARITY = 0.6
"""The minimum share of common words of a similar line."""
MIN_LINE = 4
"""Minimum length, in characters, of a line that identifies a place: a brace or `else` occurs everywhere."""
MAX_COMPARED = 400
MAX_SEARCHED = 100_000
"""Lines of the quoted text, and of the file, that are compared when only similar lines are looked for."""
MAX_LINES_IN_MEMORY = 400_000
"""Maximum lines of a file that is searched by line: each takes a hundred bytes of memory, however short it is."""

LINE_NUMBER = re.compile(r"^[ ]*\d+(?:\t|│ ?|→)", re.MULTILINE)
"""A line number in the format of `read_file`, of its earlier version, and of other agents."""
LOOKALIKES = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\", "/": "/"}


def where_it_nearly_matches(content: str, old: str, new: str, *, whole_lines: bool = False) -> str:
    """What to do about `old`, which isn't in `content`: both have `\\n` as line endings. `new` was to replace it.

    With `whole_lines` it was looked for as whole lines only.

    The first line says what differs. The lines of the file that were probably meant follow it, if there are any.
    """
    if (mark := first_mark(old)) and mark not in content:
        return f"{mark} is a placeholder for a secret and can't be quoted; quote only lines without it"
    variants = _variants(old)
    for variant, difference in variants:
        found = content.find(variant)
        if found >= 0:
            first = content.count("\n", 0, found)
            return _quoted(content, (first, first + variant.rstrip("\n").count("\n")), f"it differs in {difference}")
    if content.count("\n") > MAX_LINES_IN_MEMORY:
        many = "it has too many lines to look for similar ones; read the part again and quote it exactly"
        return _already_made(content, new) or many
    lines = content.split("\n")
    folded = [_folded(line) for line in lines]
    for variant, difference in [(old, ""), *variants]:
        found = _lines_with_same_characters(folded, variant)
        if found is not None:
            if whole_lines and _joined(variant.split("\n")) != "".join(folded[found[0] : found[1] + 1]):
                return _quoted(content, found, "it is only a part of what follows")
            same = _without_space(variant) in _without_space("\n".join(lines[found[0] : found[1] + 1]))
            kind = "whitespace" if same else "quotes, dashes or other characters that look alike"
            return _quoted(content, found, f"it differs in {difference}{' and ' if difference else ''}{kind}")
    if made := _already_made(content, new):
        return made
    found = _similar_lines(lines, old.split("\n"))
    if found is not None:
        return _quoted(content, found, "the most similar lines follow")
    return "no similar line was found; read the file again and quote it exactly"


def _already_made(content: str, new: str) -> str:
    """The remark that the new text is already in the file; empty if it isn't."""
    at = content.find(new) if new.strip() else -1
    line = content.count("\n", 0, at) + 1
    return f"new_string is already on line {line}, so the edit may already have been made" if at >= 0 else ""


def _variants(old: str) -> list[tuple[str, str]]:
    """What the text may have been before a model changed it, and what the change was."""
    variants = [
        (LINE_NUMBER.sub("", old), "line numbers (they are not part of the file)"),
        (re.sub(r"\\([ntr\"'\\/])", lambda found: ESCAPES[found[1]], old), "escapes such as \\n"),
        (html.unescape(old), "escapes such as &lt;"),
    ]
    return [(variant, difference) for variant, difference in variants if variant != old and variant.strip()]


def _quoted(content: str, lines: tuple[int, int], what: str) -> str:
    """The lines from one index to another, after a line that says what they are."""
    first, last = lines[0], min(lines[1], lines[0] + MAX_LINES - 1)
    wanted = content.split("\n", last + 1)[first : last + 1]
    # Redaction comes later, so no cut may leave a part of a secret.
    shown = first_lines(wanted, MAX_BYTES) or [excerpt(wanted[0].encode("utf-8", "replace"))]
    last = first + len(shown) - 1
    name = f"line {first + 1}" if first == last else f"lines {first + 1}-{last + 1}"
    return "\n".join([f"{what}; quote {name} exactly as here:", *shown])


def _folded(line: str) -> str:
    """The line without whitespace, and with one form of characters that look alike."""
    if not line.isascii():
        if len(line) <= MAX_NORMALIZED:
            line = unicodedata.normalize("NFKC", line)
        line = line.translate(LOOKALIKES)
    return _without_space(line)


def _joined(lines: list[str]) -> str:
    return "".join(map(_folded, lines))


def _without_space(text: str) -> str:
    return "".join(text.split())


def _lines_with_same_characters(folded: list[str], old: str) -> tuple[int, int] | None:
    """The indices of the first and the last line that have the same characters, except for whitespace."""
    wanted = _joined(old.split("\n"))
    if not wanted:
        return None
    # One search in one text, since comparing lists of lines at each line would be quadratic.
    found = "".join(folded).find(wanted)
    if found < 0:
        return None
    ends = list(accumulate(map(len, folded)))
    return bisect_right(ends, found), bisect_right(ends, found + len(wanted) - 1)


def _similar_lines(lines: list[str], old: list[str]) -> tuple[int, int] | None:
    """The indices of lines of which some are in `old` too, or of which one has most words of its longest line."""
    old = old[:MAX_COMPARED]
    shift = _shift_by_equal_lines(lines, old)
    if shift is None:
        longest = max(range(len(old)), key=lambda index: len(old[index].strip()))
        similar = _most_similar(lines, old[longest])
        if similar is None:
            return None
        shift = similar - longest
    first = max(shift, 0)
    return first, max(min(shift + len(old), len(lines)) - 1, first)


def _shift_by_equal_lines(lines: list[str], old: list[str]) -> int | None:
    """The index in `lines` of the first line of `old`, if a third of its lines are there, and only there."""
    places: dict[str, int] = {}
    for index, line in enumerate(map(str.strip, lines)):
        places[line] = -1 if line in places else index
    votes: Counter[int] = Counter()
    worth = 0
    for index, line in enumerate(map(str.strip, old)):
        if len(line) >= MIN_LINE:
            worth += 1
            if places.get(line, -1) >= 0:
                votes[places[line] - index] += 1
    if not votes:
        return None
    ((shift, count),) = votes.most_common(1)
    return shift if count * 3 >= worth else None


def _most_similar(lines: list[str], wanted: str) -> int | None:
    words = _words(wanted)
    best, index = 0.0, None
    for number, line in enumerate(lines[:MAX_SEARCHED]):
        others = _words(line)
        likeness = 2 * len(words & others) / ((len(words) + len(others)) or 1)
        if likeness > best:
            best, index = likeness, number
    return index if best >= MIN_SIMILARITY else None


def _words(line: str) -> set[str]:
    return set(re.findall(r"\w+", line[:MAX_NORMALIZED]))
