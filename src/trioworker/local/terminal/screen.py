"""Output above, and a live line and an input line at the bottom of the terminal. No clock, no signals.

Everything that goes to the terminal passes through the screen, so that the bottom lines are erased before other text is
printed and drawn again after it. Only relative movements of the cursor are used: the rest of the screen, and what was
there before, stays as it is.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

from trioworker.observability.terminal_text import columns_of, fit

if TYPE_CHECKING:
    from collections.abc import Callable

ERASE_DOWN = "\x1b[J"
DIM, PLAIN = "\x1b[2m", "\x1b[m"


class Output(Protocol):
    """Where the screen writes: a stream that never blocks."""

    def write(self, text: str, /) -> object:
        """Queue the text up to its last line end."""
        ...

    def drain(self, timeout: float | None = None) -> bool:
        """Queue the rest too; return whether everything is written within `timeout` seconds."""
        ...


class Bottom(NamedTuple):
    """The bottom lines, without line ends: the live line if it isn't empty, and the input line if there is one."""

    live: str = ""
    prompt: str = ""
    """Starts the input line."""
    text: str | None = None
    """What was typed; None without an input line."""
    cursor: int = 0
    """Columns of the text before the cursor."""

    def lines(self, width: int) -> list[str]:
        """The lines as they are shown in `width` columns."""
        live = [fit(self.live, width)] if self.live else []
        return live if self.text is None else [*live, fit(self.prompt + self.text, width)]


class Screen:
    """Prints text above the bottom lines. Thread-safe, since warnings may come from any thread.

    `columns` returns the terminal's current width.
    """

    def __init__(self, output: Output, columns: Callable[[], int]) -> None:
        self._output = output
        self._columns = columns
        self._bottom = Bottom()
        self._drawn: list[str] = []
        self._cursor = 0
        self._width = 0
        # Reentrant: a destructor may write a warning while this thread prints.
        self._lock = threading.RLock()

    def print(self, text: str) -> None:
        """Print whole lines above the bottom lines."""
        with self._lock:
            self._write(f"{self._erased()}{text}{self._drawing()}")

    def draw(self, bottom: Bottom, *, anew: bool = False) -> None:
        """Show other bottom lines. Nothing is written if they look the same, unless `anew`.

        While the terminal doesn't accept output, nothing is queued: what it shows then is drawn by a later call.
        """
        with self._lock:
            self._bottom = bottom
            lines, width = bottom.lines(self._usable()), self._columns()
            if not anew and (lines, self._column(), width) == (self._drawn, self._cursor, self._width):
                return
            if self._output.drain(0):
                self._write(f"{self._erased()}{self._drawing()}")

    def erase(self) -> None:
        """Remove the bottom lines."""
        with self._lock:
            self._bottom = Bottom()
            self._write(self._erased())

    def forget(self) -> None:
        """Leave the bottom lines where they are: another program has used the terminal since."""
        with self._lock:
            self._drawn = []

    def send(self, sequence: str) -> None:
        """Send a control sequence that prints nothing."""
        with self._lock:
            self._write(sequence)

    def _usable(self) -> int:
        # A line that ends in the last column makes terminals differ in where the cursor is.
        return self._columns() - 1

    def _column(self) -> int:
        """The column of the cursor."""
        bottom = self._bottom
        column = columns_of(bottom.live) if bottom.text is None else columns_of(bottom.prompt) + bottom.cursor
        return max(0, min(column, self._usable()))

    def _erased(self) -> str:
        """What removes the drawn lines, and leaves the cursor where they began."""
        if not self._drawn:
            return ""
        # A terminal that became narrower has wrapped the lines.
        width = max(1, self._columns())
        above = sum(_rows(columns_of(line), width) for line in self._drawn[:-1]) + self._cursor // width
        self._drawn = []
        return f"\r{_moved(above, 'A')}{ERASE_DOWN}"

    def _drawing(self) -> str:
        bottom = self._bottom
        self._width = self._columns()
        self._drawn = bottom.lines(self._usable())
        self._cursor = self._column()
        if not self._drawn:
            return ""
        styled = list(self._drawn)
        if bottom.live:
            styled[0] = f"{DIM}{styled[0]}{PLAIN}"
        return "\n".join(styled) + f"\r{_moved(self._cursor, 'C')}"

    def _write(self, text: str) -> None:
        if text:
            self._output.write(text)
            # Without waiting: the last line has no line end.
            self._output.drain(0)


def _rows(columns: int, width: int) -> int:
    return max(1, -(-columns // width))


def _moved(count: int, direction: str) -> str:
    """Moves the cursor; a count of 0 would mean 1."""
    return f"\x1b[{count}{direction}" if count else ""
