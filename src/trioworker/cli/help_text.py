"""The layout of the help: as wide as the terminal, with examples that stay valid when they are wrapped."""

from __future__ import annotations

import argparse
import re
import shutil
import textwrap

MIN_COLUMNS = 40
MAX_COLUMNS = 100
"""Columns of the help: longer lines are hard to read."""
COMMAND_MARK = "\t"
"""Starts a line of a description or an epilog that is a command."""
INDENT = "  "
NO_BREAK = "\u00a0"
"""A space where a command is not wrapped: it is wrapped only before an option or a pipe."""


class HelpFormatter(argparse.HelpFormatter):
    """Wraps each line of a description or an epilog on its own; a command is continued by a backslash."""

    def __init__(self, prog: str) -> None:
        columns = min(max(shutil.get_terminal_size().columns, MIN_COLUMNS), MAX_COLUMNS)
        super().__init__(prog, max_help_position=min(28, columns // 3), width=columns)

    def _fill_text(self, text: str, width: int, indent: str) -> str:  # noqa: ARG002 - overrides argparse's
        return "\n".join(_wrapped(line, width) for line in text.splitlines())


def _wrapped(line: str, width: int) -> str:
    if line.startswith(COMMAND_MARK):
        command = re.sub(" (?!--|[|])", NO_BREAK, line.removeprefix(COMMAND_MARK))
        # The backslash and the space before it take two columns.
        return " \\\n".join(_lines(command, width - 2, INDENT, INDENT * 2)).replace(NO_BREAK, " ")
    # A row of a list: a word and its meaning.
    row = re.match(r" +\S+ {2,}", line)
    hanging = " " * row.end() if row else ""
    return "\n".join(_lines(line, width, "", hanging))


def _lines(text: str, width: int, first: str, later: str) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
