"""Escapes control characters, so that a text can't forge log lines, move the cursor or reorder other text."""

from __future__ import annotations

import re

_CONTROLS = (
    r"\x00-\x1f\x7f-\x9f"  # C0 and C1: line breaks, ANSI sequences
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # controls of the bidirectional algorithm
    r"\u2028\u2029"  # line and paragraph separators
    r"\ud800-\udfff"  # lone surrogates, which can't be encoded
)
_LINE = re.compile(f"[{_CONTROLS}]")
_TEXT = re.compile(f"(?![\n\t])[{_CONTROLS}]")


def escape_line(text: str) -> str:
    r"""Escape every control character, line breaks and tabs included: the result is one line.

    Escapes are Python's: `\n`, `\x1b`, `\u202e`. A backslash in the text stays as it is.
    """
    return _LINE.sub(_escape, text)


def escape_text(text: str) -> str:
    """Escape every control character except line feeds and tabs."""
    return _TEXT.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
