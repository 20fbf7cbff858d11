"""Chooses the printer for the options and the terminal."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trioworker.local.render import JsonPrinter, PlainPrinter
from trioworker.local.terminal.modes import columns
from trioworker.local.terminal.opening import STDOUT, is_rich

if TYPE_CHECKING:
    from trioworker.local.render import Printer


def open_printer(*, json_lines: bool) -> Printer:
    """The printer for the options and the terminal: JSON, in colour on a terminal, or plain lines."""
    if json_lines:
        return JsonPrinter()
    if is_rich():
        from trioworker.local.render_rich import RichPrinter

        return RichPrinter(partial(columns, STDOUT))
    return PlainPrinter()
