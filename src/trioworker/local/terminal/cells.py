"""Texts at the bottom of a terminal: notices in whole words, and the part of a long line around its cursor."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trioworker.observability.notices import INDENT
from trioworker.observability.terminal_text import columns_of, fit
from trioworker.protocol.control_characters import escape_line

if TYPE_CHECKING:
    from collections.abc import Iterable

MIN_WIDTH = 20
SHOWN = {"\n": "⏎", "\t": " "}
"""How characters of a line being typed are shown that are not shown as escapes."""


def in_whole_words(lines: str, width: int) -> str:
    """Notices in about `width` columns, with the indentation of their further lines. URLs stay whole."""
    return "\n".join(_broken(line, max(width, MIN_WIDTH)) for line in lines.split("\n"))


def _broken(line: str, width: int) -> str:
    # textwrap counts characters instead of columns.
    broken, column = "", 0
    for word in re.findall(r"\s*\S+", line.rstrip()):
        columns = columns_of(word)
        if column and column + columns > width:
            word = INDENT + word.lstrip()
            columns = columns_of(word)
            broken, column = f"{broken}\n", 0
        broken, column = broken + word, column + columns
    return broken


def window(text: str, cursor: int, width: int) -> tuple[str, int]:
    """The part of a line around the cursor that fits into `width` columns, and the cursor's column in it.

    The cursor, which may be after the last character, is always visible. `…` stands for what is left out. Only as much
    text as fits is looked at, so a long line costs no more than a short one.
    """
    if width < 4:
        return "", 0
    # One column is for the cursor after the last character.
    before = _trailing(text[max(0, cursor - width) : cursor], width - 1)
    if len(before) < cursor:
        # Leave a quarter for what follows the cursor.
        before = _trailing(before, width - 2 - width // 4)
        left = f"…{_shown(before)}"
    else:
        left = _shown(before)
    column = columns_of(left)
    return left + fit(_shown(text[cursor : cursor + width + 1]), width - column), column


def _shown(characters: Iterable[str]) -> str:
    return "".join(SHOWN.get(each) or escape_line(each) for each in characters)


def _trailing(text: str, width: int) -> str:
    """As many characters from the end as fit, as they are shown."""
    start = len(text)
    for character in reversed(text):
        width -= columns_of(_shown(character))
        if width < 0:
            break
        start -= 1
    return text[start:]
