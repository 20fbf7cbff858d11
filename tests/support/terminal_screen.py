"""What a terminal shows for what is written to it, with pyte."""

from __future__ import annotations

import pyte
from pyte.modes import LNM


class TerminalScreen:
    """A terminal of a fixed size. It keeps all lines that scrolled out of it."""

    def __init__(self, columns: int, lines: int) -> None:
        self._screen = pyte.HistoryScreen(columns, lines, history=10_000, ratio=0.5)
        # Line feeds from a program pass the line discipline, which adds a carriage return.
        self._screen.set_mode(LNM)
        self._stream = pyte.ByteStream(self._screen)

    def write(self, data: bytes) -> None:
        """Show what a program writes."""
        self._stream.feed(data)

    def resize(self, columns: int) -> None:
        """Change the width. Rows that are longer are cut, not wrapped."""
        self._screen.resize(columns=columns)

    @property
    def cursor(self) -> int:
        """The cursor's column."""
        return self._screen.cursor.x

    def rows(self) -> list[str]:
        """All rows, those that scrolled away included, without trailing blanks and blank rows at the end."""
        width = self._screen.columns
        scrolled = ["".join(row[column].data for column in range(width)) for row in self._screen.history.top]
        rows = [row.rstrip() for row in (*scrolled, *self._screen.display)]
        while rows and not rows[-1]:
            rows.pop()
        return rows
