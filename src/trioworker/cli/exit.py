"""The end of the program: it doesn't wait for readers of its output, or for threads that were abandoned."""

from __future__ import annotations

import os
from typing import NoReturn

from trioworker.cli.standard_streams import drain_standard_streams
from trioworker.protocol.exit_codes import STOPPED
from trioworker.supervision.early_signals import early_signals

EXIT_TIMEOUT = 2.0
"""Seconds that the output may take at the exit: a container gets 10 from SIGTERM, of which the shutdown may take 8."""


def exit_on_signal() -> None:
    """Exit with `STOPPED` on a signal until the command handles signals itself: it has started nothing yet."""
    early = early_signals()
    if early is not None:
        early.call(lambda _: exit_now(STOPPED))


def ignore_signals() -> None:
    """Ignore further signals: the exit code is decided."""
    early = early_signals()
    if early is not None:
        early.call(lambda _: None)


def exit_now(code: int) -> NoReturn:
    """Write the remaining output within `EXIT_TIMEOUT`, and end the process without shutting the interpreter down.

    A thread may still be inside a C++ library, such as an abandoned search in RE2. At shutdown, Python up to 3.13
    unwinds such a thread, which aborts the process with SIGABRT.
    """
    drain_standard_streams(EXIT_TIMEOUT)
    os._exit(code)
