"""Patterns that a model wrote, compiled by RE2, whose time is linear in the text: none of them can hang the worker.

RE2 is imported at the first use; it costs more than the rest of the tools together.
"""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from trioworker.errors import ToolError

LINE_MODE = "(?m)"
"""What makes `^` and `$` match at each line."""


class Match(Protocol):
    """Where a pattern matched."""

    def start(self) -> int:
        """The first byte."""
        ...


class Pattern(Protocol):
    """A compiled pattern; positions are in bytes."""

    def search(self, text: bytes, pos: int | None = None) -> Match | None:
        """The first match from `pos` on."""
        ...

    def fullmatch(self, text: bytes) -> Match | None:
        """The match that takes all of the text."""
        ...


def line_pattern(pattern: str) -> Pattern:
    """A regular expression that matches within lines; `^` and `$` are a line's.

    Raises:
        ToolError: RE2 can't read it.
    """
    return _compiled(pattern, LINE_MODE + pattern)


def glob_pattern(pattern: str) -> Pattern:
    """A glob that is matched against a whole relative path.

    `*` and `?` stay within a name, `**` crosses folders, `[a-z]`, `[!a-z]` and `{a,b}` are as in a shell. A pattern
    without a slash is for the name alone, in whatever folder.

    Raises:
        ToolError: a bracket or brace is not closed.
    """
    pattern = pattern.removeprefix("./") if "/" in pattern else "**/" + pattern
    return _compiled(pattern, _Glob(pattern).translated())


def _compiled(given: str, expression: str) -> Pattern:
    re2 = importlib.import_module("re2")
    options = re2.Options()
    options.never_nl = True
    options.log_errors = False
    try:
        return cast("Pattern", re2.compile(expression, options))
    except (re2.error, UnicodeEncodeError) as error:
        raise ToolError(
            f"pattern {given!r}: {_told(error)}; RE2 syntax, without look-around and backreferences"
        ) from error


def _told(error: Exception) -> str:
    """RE2 tells its errors as bytes."""
    message: object = error.args[0] if error.args else ""
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    return text.replace(LINE_MODE, "", 1)


class _Glob:
    """Translates one glob to a regular expression."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.position = 0
        self.braces = 0

    def translated(self) -> str:
        parts: list[str] = []
        while self.position < len(self.pattern):
            parts.append(self._next())
        if self.braces:
            raise ToolError(f"pattern {self.pattern!r}: a brace is not closed")
        return "".join(parts)

    def _next(self) -> str:
        character = self.pattern[self.position]
        if character == "*":
            return self._stars()
        if character == "[":
            return self._bracket()
        self.position += 1
        match character:
            case "?":
                return "[^/]"
            case "{":
                self.braces += 1
                return "(?:"
            case "}" if self.braces:
                self.braces -= 1
                return ")"
            case "," if self.braces:
                return "|"
            case "\\" if self.position < len(self.pattern):
                self.position += 1
                return _literal(self.pattern[self.position - 1])
            case _:
                return _literal(character)

    def _stars(self) -> str:
        start = self.position
        while self.pattern.startswith("*", self.position):
            self.position += 1
        if self.position - start == 1:
            return "[^/]*"
        if self.pattern.startswith("/", self.position):
            self.position += 1
            return "(?:.*/)?"
        return ".*"

    def _bracket(self) -> str:
        # A `]` that comes first stands for itself.
        first = self.position + 1
        if self.pattern.startswith(("!", "^"), first):
            first += 1
        end = self.pattern.find("]", first + 1)
        if end < 0:
            raise ToolError(f"pattern {self.pattern!r}: a bracket is not closed")
        body = self.pattern[first:end].replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
        negated = first == self.position + 2
        self.position = end + 1
        return f"[^/{body}]" if negated else f"[{body}]"


def _literal(character: str) -> str:
    return character if character.isalnum() or character in "/_-" or not character.isascii() else "\\" + character
