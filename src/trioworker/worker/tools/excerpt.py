"""A line as results show it: whole if it is short, else the part around the match, with `...` for what is cut.

A word that may be a secret is shown whole or not at all, since redaction can't recognize half of one.
"""

from __future__ import annotations

import re

from trioworker.worker.processes.output import MAX_WORD_BYTES, without_broken_end, without_broken_start

MAX_LINE_BYTES = 1000
"""Bytes of a line that are shown: one line of minified code could fill a whole result."""
LEAD_BYTES = 300
"""Bytes shown before a match in a longer line."""
MIN_LEAD_WORDS = 2
"""Words shown before the word that matches: they may be what marks it as a secret (`Authorization: Basic …`)."""

_WORD = re.compile(rb"[^\s\"'`,;<>]+")
_ENDS = ((rb"\s", MAX_LINE_BYTES), (rb"[\s\"'`,;<>]", MAX_WORD_BYTES))
"""What separates words, and how far away that may be: see `output.without_broken_end`."""


def excerpt(
    line: bytes, match: tuple[int, int] = (0, 0), *, is_cut_before: bool = False, is_cut_after: bool = False
) -> str:
    """The line, or the part of it around `match`, which are offsets in it.

    `is_cut_before` and `is_cut_after` say that the line itself is only a piece of one.
    """
    if len(line) <= MAX_LINE_BYTES and not is_cut_before and not is_cut_after:
        return line.decode(errors="replace")
    start = _start(line, match[0], is_cut=is_cut_before)
    end = _end(line, start, match, is_cut=is_cut_after)
    before = "..." if start > 0 or is_cut_before else ""
    after = "..." if end < len(line) or is_cut_after else ""
    return before + line[start:end].decode(errors="ignore") + after


def _start(line: bytes, match: int, *, is_cut: bool) -> int:
    word = _word_start(line, match)
    if not is_cut and word <= LEAD_BYTES:
        return 0
    # More than `LEAD_BYTES` where these hold too few words, so that a secret never loses the words that mark it.
    for lead in (LEAD_BYTES, 2 * MAX_WORD_BYTES):
        if word <= lead and not is_cut:
            return 0
        kept = without_broken_start(line[max(word - lead, 0) : word])
        if len(_WORD.findall(kept)) >= MIN_LEAD_WORDS:
            return word - len(kept)
    return word


def _end(line: bytes, start: int, match: tuple[int, int], *, is_cut: bool) -> int:
    end = max(start + MAX_LINE_BYTES, match[0] + MAX_LINE_BYTES - LEAD_BYTES)
    if end >= len(line):
        return len(without_broken_end(line)) if is_cut else len(line)
    # The word of the match is shown whole unless it is too long for a secret.
    word = _word_end(line, min(match[1], end))
    if word is None:
        return end
    return max(word, start + len(without_broken_end(line[start:end])))


def _word_start(line: bytes, position: int) -> int:
    """Where the word at `position` starts; `position` itself if that is too far away for a secret."""
    for separator, limit in _ENDS:
        first = max(position - limit, 0)
        starts = [found.end() for found in re.finditer(separator, line[first:position])]
        if starts or not first:
            return first + starts[-1] if starts else 0
    return position


def _word_end(line: bytes, position: int) -> int | None:
    """Where the word at `position` ends; None if that is too far away for a secret."""
    for separator, limit in _ENDS:
        if found := re.compile(separator).search(line, position, position + limit):
            return found.start()
        if position + limit >= len(line):
            return len(line)
    return None
