"""Text on a terminal: its width in columns, texts that fit into a width, and durations."""

from __future__ import annotations

import unicodedata

from trioworker.protocol.control_characters import escape_line

SOFT_HYPHEN = "\xad"


def columns_of(text: str) -> int:
    """The columns of a line, character by character: terminals differ in how they join several into one."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def fit(text: str, width: int) -> str:
    """The text, shortened to `width` columns. No more of it is looked at than fits."""
    used = end = 0
    for place, character in enumerate(text):
        used += _columns(character)
        if used > width:
            return text[:end] + "…" if width > 0 else ""
        if used < width:
            end = place + 1
    return text


def pad(text: str, width: int) -> str:
    """The text, shortened or filled with spaces to `width` columns."""
    shown = fit(text, width)
    return shown + " " * (width - columns_of(shown))


def one_line(text: str, width: int) -> str:
    """The text on one line, with its control characters escaped, shortened to `width` columns."""
    return fit(escape_line(text.strip()), width)


def first_line(text: str) -> str:
    """The first line of a text that isn't blank, with its control characters escaped."""
    return escape_line(next((line.strip() for line in text.splitlines() if line.strip()), ""))


def last_line(text: str) -> str:
    """The last line of a text that isn't blank, with its control characters."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def duration(seconds: float) -> str:
    """A duration for people: `0.4 s`, `2 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _columns(character: str) -> int:
    # Medial vowels and final consonants join the Korean syllable before them. A soft hyphen is shown.
    joins = unicodedata.category(character) in {"Mn", "Mc", "Me", "Cf"} or "\u1160" <= character <= "\u11ff"
    if joins and character != SOFT_HYPHEN:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
