"""Globs, translated to regular expressions.

File names are compared in one normal form of Unicode: an `é` typed as one character finds a name that is stored with a
combining accent, and the other way round.
"""

from __future__ import annotations

from trioworker.errors import ToolError
from trioworker.worker.tools.regex import compile_pattern
from trioworker.worker.tools.unicode_forms import composed
from trioworker.worker.tools.workspace import display


class GlobPattern:
    """A glob that matches whole relative paths.

    `*` and `?` stay within a name, `**` crosses folders; `[a-z]`, `[!a-z]` and `{a,b}` work as in a shell. A pattern
    without a slash matches names in any folder. A leading `!` means all paths that don't match the rest.

    Raises:
        ToolError: a bracket or brace is not closed.
    """

    def __init__(self, pattern: str) -> None:
        pattern = composed(pattern)
        self._is_negated = pattern.startswith("!")
        pattern = pattern.removeprefix("!")
        pattern = pattern.removeprefix("./") if "/" in pattern else "**/" + pattern
        self._pattern = compile_pattern(pattern, "", _Translation(pattern).result())

    def matches(self, path: str) -> bool:
        """Whether the whole path matches."""
        is_found = self._pattern.fullmatch(composed(display(path)).encode()) is not None
        return is_found != self._is_negated


class _Translation:
    """Translates one glob to a regular expression."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.position = 0
        self.braces = 0

    def result(self) -> str:
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
        # A `]` that comes first is a member of the set.
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
