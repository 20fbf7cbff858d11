"""Notices to the person at the terminal."""

from __future__ import annotations

import sys

from trioworker.protocol.control_characters import escape_text

INDENT = "    "
"""Starts the second and every later line of a notice or a log record, so that it can't pass for a new one."""


def print_notice(text: str) -> None:
    """Print a notice to stderr, with its control characters escaped."""
    sys.stderr.write(f"trioworker: {indent_lines(text)}\n")
    sys.stderr.flush()


def indent_lines(text: str) -> str:
    """The text with its control characters escaped, and all lines but the first indented."""
    return escape_text(text).replace("\n", f"\n{INDENT}")
