"""Chooses the printer for the options and the terminal."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from trioworker.local.render import JsonPrinter, PlainPrinter

if TYPE_CHECKING:
    from trioworker.local.render import Printer


def open_printer(*, json_lines: bool) -> Printer:
    """The printer for the options and the terminal: JSON, in colour on a terminal, or plain lines."""
    if json_lines:
        return JsonPrinter()
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from trioworker.local.render_rich import RichPrinter

        return RichPrinter(shutil.get_terminal_size().columns)
    return PlainPrinter()
