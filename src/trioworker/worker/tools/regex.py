"""Regular expressions that a model wrote, compiled by RE2: its time is linear in the text, so none can hang the worker.

RE2 is imported at the first use, since that takes longer than importing all the tools.
"""

from __future__ import annotations

import importlib
import re
from typing import Protocol, cast

from trioworker.errors import ToolError

LINE_FLAGS = "m"
"""`^` and `$` match at each line."""
MULTILINE_FLAGS = "ms"
"""`.` matches a line end too, as in the multiline searches that models know."""

BY_SHELL = "or use shell with grep -P"

# What RE2 reports as not understood, the construct's name, and what to write instead.
UNSUPPORTED = (
    (r"\(\?=", "look-ahead", f"write what follows as a part of the pattern: foo(?=bar) as foobar, {BY_SHELL}"),
    (r"\(\?!", "negative look-ahead", f"search without it and ignore the matches that you don't want, {BY_SHELL}"),
    (r"\(\?<=", "look-behind", f"write what precedes as a part of the pattern: (?<=foo)bar as foobar, {BY_SHELL}"),
    (r"\(\?<!", "negative look-behind", f"search without it and ignore the matches that you don't want, {BY_SHELL}"),
    (r"\(\?P$|\\[1-9gk]", "backreference", rf"write out the alternatives: (a|b)\1 as (aa|bb), {BY_SHELL}"),
    (r".*[*+?}]\+$", "possessive quantifier", r"write a+ for a++; to match a plus sign, escape it: \+"),
    (r"\(\?>", "atomic group", "write (?:a+) for (?>a+): RE2 never backtracks"),
    (r"\(\?\(", "conditional", f"write out the alternatives: (?(1)a|b) as (?:a|b), {BY_SHELL}"),
    (r"\(\?[R&0-9]", "recursion", f"write out the levels that you need, {BY_SHELL}"),
    (r"\(\?#", "comment", "leave it out"),
    (r"\(\?\|", "branch reset", "write (?:a|b) for (?|a|b)"),
    (r"\(\?[a-z]*x", "verbose flag", "leave out the flag, the spaces and the comments"),
    (r"\\Z", r"\Z", r"write $ for the end of a line, or \z for the end of the text"),
    (r"\\h", r"\h", r"write [ \t]"),
    (r"\\R", r"\R", r"write \n with multiline"),
    (r"\\u", r"\u", r"write \x{1234} for \u1234"),
    (r"\\[GK]", r"\G and \K", f"leave it out, {BY_SHELL}"),
)


class Match(Protocol):
    """Where a pattern matched, in bytes."""

    def start(self) -> int:
        """Offset of the first byte."""
        ...

    def end(self) -> int:
        """Offset after the last byte."""
        ...


class Pattern(Protocol):
    """A compiled pattern. Offsets are in bytes."""

    def search(self, text: bytes, pos: int | None = None) -> Match | None:
        """The first match that starts at `pos` or later; what precedes `pos` counts for `^` and `\\b`."""
        ...

    def fullmatch(self, text: bytes) -> Match | None:
        """The match of the whole text."""
        ...


def search_pattern(pattern: str, *, ignore_case: bool = False, multiline: bool = False) -> Pattern:
    """Compile a regular expression to search text with. It matches within lines unless `multiline`.

    Raises:
        ToolError: RE2 does not support or understand it; the message says what to write instead.
    """
    flags = (MULTILINE_FLAGS if multiline else LINE_FLAGS) + ("i" if ignore_case else "")
    return compile_pattern(pattern, f"(?{flags})", pattern, spans_lines=multiline)


def compile_pattern(given: str, flags: str, expression: str, *, spans_lines: bool = False) -> Pattern:
    """Compile `expression` behind `flags`. `given` is what error messages quote.

    Raises:
        ToolError: RE2 does not support or understand it.
    """
    re2 = importlib.import_module("re2")
    options = re2.Options()
    options.never_nl = not spans_lines
    options.log_errors = False
    try:
        return cast("Pattern", re2.compile(flags + expression, options))
    except (re2.error, UnicodeEncodeError) as error:
        raise ToolError(f"pattern {given!r}: {_explanation(error, flags)}") from error


def _explanation(error: Exception, flags: str) -> str:
    message = _message(error)
    _, _, fragment = message.partition(": ")
    for refused, construct, instead in UNSUPPORTED:
        if re.match(refused, fragment, re.DOTALL):
            return f"RE2 has no {construct} ({fragment}); {instead}"
    return f"{message.replace(flags, '', 1)}; the syntax is RE2's"


def _message(error: Exception) -> str:
    """RE2 gives its messages as bytes."""
    message: object = error.args[0] if error.args else ""
    return message.decode(errors="replace") if isinstance(message, bytes) else str(message)
