"""Keeps the signals that arrive while a program starts, before it can act on them.

It is imported first of all, so it imports nothing but `signal`.
"""

from __future__ import annotations

import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_NAMES = (
    *("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGTERM"),
    *("SIGVTALRM", "SIGPROF", "SIGXCPU", "SIGIO", "SIGPWR", "SIGSTKFLT"),
)
STOP_SIGNALS = (
    *(int(getattr(signal, name)) for name in _NAMES if hasattr(signal, name)),
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
)
"""Signals that end a process by default, except those that report a defect of the process itself, such as SIGSEGV
(signal(7)). Python 3.11 has a name for SIGSTKFLT.
"""


class EarlySignals:
    """A signal handler that keeps the numbers of the signals it received until the program can act on them."""

    def __init__(self) -> None:
        self._received: list[int] = []
        self._act: Callable[[int], object] = self._received.append

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        self._act(number)

    def install(self) -> None:
        """Handle every stop signal from now on, except as `may_handle` says."""
        for number in STOP_SIGNALS:
            if may_handle(number):
                signal.signal(number, self)

    def call(self, act: Callable[[int], object]) -> None:
        """Call `act` for each later signal, and now for those received so far."""
        self._act = act
        for number in self.taken():
            act(number)

    def taken(self) -> list[int]:
        """Remove and return the signals received so far."""
        numbers = self._received.copy()
        del self._received[: len(numbers)]
        return numbers


def early_signals() -> EarlySignals | None:
    """The installed handler, if there is one."""
    handler = signal.getsignal(signal.SIGTERM)
    return handler if isinstance(handler, EarlySignals) else None


def may_handle(number: int) -> bool:
    """Whether we may handle a signal: SIGTERM always, others unless they are ignored or someone else handles them.

    `nohup` makes a program ignore SIGHUP; a shell makes a background job ignore SIGINT and SIGQUIT.
    """
    handler = signal.getsignal(number)
    return (
        number == signal.SIGTERM
        or handler in (signal.SIG_DFL, signal.default_int_handler)
        or isinstance(handler, EarlySignals)
    )
