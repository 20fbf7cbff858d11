"""Verbatim text in Markdown: code fences, quotations and inline code, in which markup has no meaning."""

from __future__ import annotations

import re

CLOSING_INDENT = 3
"""How many more columns than the opening a closing fence may be indented (CommonMark, 'Fenced code blocks')."""

# Patterns are strings, since a compiled one costs up to 1 ms at import: `re` compiles and caches them at first use.
#
# Every repetition is possessive or followed by something that it can't match. A failing match then reads no more than a
# successful one would consume, which keeps the time linear.
AT_LINE_START = r"[ \t]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)?(?:(?P<fence>`{3,}+(?=[^`\n]*+$)|~{3,}+)|(?P<quote>>))"
"""What starts a fence or a quotation, at the start of a line."""
ANYWHERE = r"(?P<ticks>`++)|\\[\\`]"
"""What starts inline code, and escapes that don't."""

_FENCE_END = r"(?m)^([ \t]*+)(`{3,}+|~{3,}+)[ \t]*+$"
_RUN_OF_TICKS = r"`+"
_PARAGRAPH_END = r"\n(?=[ \t]*+(?:\n|[>#]|`{3}|~{3}|[-*+][ \t]|\d{1,9}[.)][ \t]))"


class Verbatim:
    """Finds the ends of verbatim text, from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._paragraph = _Paragraph(text)

    def end(self, mark: re.Match[str]) -> int | None:
        """The end of the verbatim text that starts at `mark`, None if none starts there."""
        match mark.lastgroup:
            case "fence":
                return _end_of_fence(self._text, mark)
            case "quote":
                end = self._text.find("\n", mark.end())
                return end if end >= 0 else len(self._text)
            case "ticks":
                return self._paragraph.end_of_code(mark.start(), mark.end() - mark.start())
            case _:
                return None


def _end_of_fence(text: str, mark: re.Match[str]) -> int:
    fence = mark["fence"]
    indent = mark.start("fence") - mark.start()
    for closing in re.compile(_FENCE_END).finditer(text, mark.end()):
        if closing[2].startswith(fence) and len(closing[1]) <= indent + CLOSING_INDENT:
            return closing.end()
    return len(text)


class _Paragraph:
    """The runs of backticks in the current paragraph, beyond which inline code never extends.

    Each paragraph is searched only once: searching from each run would be quadratic when many are unclosed.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = 0
        self._runs: dict[int, list[int]] = {}

    def end_of_code(self, start: int, length: int) -> int | None:
        """The end of the inline code that starts with `length` backticks at `start`: after the next run as long."""
        if start >= self._end:
            self._enter(start)
        runs = self._runs.get(length, [])
        while runs and runs[-1] <= start:
            runs.pop()
        return runs[-1] + length if runs else None

    def _enter(self, start: int) -> None:
        end = re.compile(_PARAGRAPH_END).search(self._text, start)
        self._end = end.end() if end else len(self._text)
        self._runs = {}
        for run in reversed([*re.compile(_RUN_OF_TICKS).finditer(self._text, start, self._end)]):
            self._runs.setdefault(len(run[0]), []).append(run.start())
