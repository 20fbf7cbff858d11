"""The width of text on a terminal, in cells."""

from __future__ import annotations

import unicodedata

from trioworker.protocol.control_characters import escape_line


def one_line(text: str) -> str:
    """The first line of a text that isn't blank, with its control characters escaped."""
    return escape_line(next((line.strip() for line in text.splitlines() if line.strip()), ""))


def width_of(text: str) -> int:
    """The number of cells of a line without control characters."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def fit(text: str, width: int) -> str:
    """The text, shortened to `width` cells."""
    if width_of(text) <= width:
        return text
    left, kept = width - 1, 0
    for character in text:
        left -= _cells(character)
        if left < 0:
            break
        kept += 1
    return text[:kept] + "…" if width > 0 else ""


def pad(text: str, width: int) -> str:
    """The text, shortened or filled with spaces to `width` cells."""
    shown = fit(text, width)
    return shown + " " * (width - width_of(shown))


def duration(seconds: float) -> str:
    """A duration for people: `0.4 s`, `2 s`, `12 s`, `3 min 20 s`, `1 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
