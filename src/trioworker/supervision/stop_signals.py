"""Receives the signals that stop a program, also those that arrived while it started."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from trioworker.supervision.early_signals import STOP_SIGNALS, early_signals, may_handle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator


@contextmanager
def open_stop_receiver() -> Generator[AsyncIterator[int]]:
    """Receive the stop signals that `may_handle` allows, in the main thread, while the block runs.

    Keep it open until the program has shut down: otherwise a second signal would end it before that.
    """
    early = early_signals()
    with trio.open_signal_receiver(*filter(may_handle, STOP_SIGNALS)) as signals:
        for number in early.taken() if early else ():
            signal.raise_signal(number)
        yield signals


def signal_name(number: int) -> str:
    """The name of a signal, or for most real-time signals its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
