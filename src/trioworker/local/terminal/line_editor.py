"""A line being typed: its text, cursor and history. No I/O: bytes go in, finished lines come out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.local.terminal.cells import window
from trioworker.local.terminal.keys import MAX_PASTE, KeyDecoder

if TYPE_CHECKING:
    from trioworker.local.terminal.keys import Key

MAX_CHARACTERS = MAX_PASTE
"""Characters of a line; further ones are ignored."""
MAX_HISTORY = 100


class LineEditor:
    """An editor for one line at a time. A pasted text may contain line breaks.

    Attributes:
        text: the line.
        cursor: the number of characters before the cursor.
        ended: whether Ctrl-D ended the input.
        redraw: whether Ctrl-L asked for a redraw; the code that draws resets this.
    """

    def __init__(self) -> None:
        self.text = ""
        self.cursor = 0
        self.ended = False
        self.redraw = False
        self._keys = KeyDecoder()
        self._history: list[str] = []
        self._position = 0
        self._draft = ""

    @property
    def timeout(self) -> float | None:
        """Seconds to wait for more bytes before `give_up`; None if nothing is unfinished."""
        return self._keys.timeout

    def feed(self, data: bytes) -> list[str]:
        """Edit the line; return the lines that Enter finished, blank ones left out."""
        return self._apply(self._keys.feed(data))

    def give_up(self) -> list[str]:
        """End an escape sequence or a paste that isn't continued."""
        return self._apply(self._keys.give_up())

    def render(self, width: int) -> tuple[str, int]:
        """The part of the line that fits into `width` columns, and the cursor's column in it."""
        return window(self.text, self.cursor, width)

    def _apply(self, keys: list[Key]) -> list[str]:
        lines: list[str] = []
        for key in keys:
            if self.ended:
                break
            if key.name == "enter":
                lines += self._finish()
            else:
                self._edit(key)
        return lines

    def _finish(self) -> list[str]:
        line = self.text.strip()
        self._set("")
        self._draft = ""
        if line and line not in self._history[-1:]:
            self._history = [*self._history, line][-MAX_HISTORY:]
        self._position = len(self._history)
        return [line] if line else []

    def _edit(self, key: Key) -> None:
        text, cursor = self.text, self.cursor
        match key.name:
            case "text" | "paste":
                self._insert(key.text)
            case "left":
                self.cursor = max(0, cursor - 1)
            case "right":
                self.cursor = min(len(text), cursor + 1)
            case "home":
                self.cursor = 0
            case "end":
                self.cursor = len(text)
            case "backspace":
                self._delete(max(0, cursor - 1), cursor)
            case "delete":
                self._delete(cursor, cursor + 1)
            case "kill-to-start":
                self._delete(0, cursor)
            case "kill-to-end":
                self._delete(cursor, len(text))
            case "kill-word":
                words = text[:cursor].rstrip()
                self._delete(len(words) - len(words.split(" ")[-1].split("\n")[-1]), cursor)
            case "up":
                self._recall(self._position - 1)
            case "down":
                self._recall(self._position + 1)
            case "end-of-input" if text:
                self._delete(cursor, cursor + 1)
            case "end-of-input":
                self.ended = True
            case _:
                self.redraw = True

    def _insert(self, text: str) -> None:
        text = text[: MAX_CHARACTERS - len(self.text)]
        self.text = self.text[: self.cursor] + text + self.text[self.cursor :]
        self.cursor += len(text)

    def _delete(self, start: int, end: int) -> None:
        self.text = self.text[:start] + self.text[end:]
        self.cursor = start

    def _recall(self, position: int) -> None:
        """Show an earlier line. The position after the last of them is the line that was being typed."""
        if not 0 <= position <= len(self._history):
            return
        if self._position == len(self._history):
            self._draft = self.text
        self._position = position
        self._set([*self._history, self._draft][position])

    def _set(self, text: str) -> None:
        self.text, self.cursor = text, len(text)
