"""The modes of the terminal from which we read keys, and whether we may read from it."""

from __future__ import annotations

import os
import signal
import termios
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

PASTE_ON, PASTE_OFF = "\x1b[?2004h", "\x1b[?2004l"
"""Bracketed paste: the terminal marks where a paste starts and ends."""
LOCAL_FLAGS = 3
"""Index of the local flags in what `termios.tcgetattr` returns."""
CONTROL_CHARACTERS = 6


def is_foreground(descriptor: int) -> bool:
    """Whether it is a terminal that our process group may use: the kernel stops other groups that try (SIGTTIN)."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False


def columns(descriptor: int) -> int:
    """The width of the terminal; 80 if it isn't known."""
    try:
        return os.get_terminal_size(descriptor).columns or 80
    except OSError:
        return 80


class KeyMode:
    """Reading keys as they are typed, without echo ("cbreak"); Ctrl-C, Ctrl-Z and Ctrl-\\ remain signals.

    `leave` restores what the terminal had when it was first entered. Both may be called at any time, any number of
    times, and do nothing without a terminal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._original: list[Any] | None = None

    def enter(self) -> None:
        """Read keys."""
        with suppress(OSError, termios.error), _without_stop():
            if self._original is None:
                self._original = termios.tcgetattr(self._descriptor)
            modes = termios.tcgetattr(self._descriptor)
            modes[LOCAL_FLAGS] &= ~(termios.ECHO | termios.ICANON)
            modes[CONTROL_CHARACTERS][termios.VMIN] = 1
            modes[CONTROL_CHARACTERS][termios.VTIME] = 0
            # At once: what was typed ahead is kept, and a terminal that is stopped by Ctrl-S isn't waited for.
            termios.tcsetattr(self._descriptor, termios.TCSANOW, modes)

    def leave(self) -> None:
        """Restore the original modes."""
        if self._original is not None:
            with suppress(OSError, termios.error), _without_stop():
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._original)


@contextmanager
def _without_stop() -> Generator[None]:
    """Block SIGTTOU, which stops a process that changes its terminal's modes just after it went to the background."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
