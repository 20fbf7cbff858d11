"""Decodes what a terminal sends into keys and pasted text. No I/O, no clock.

Bytes arrive in pieces of any size: a character or an escape sequence may be cut anywhere. Unknown sequences are
ignored.
"""

from __future__ import annotations

import codecs
from typing import NamedTuple

ESCAPE_TIMEOUT = 0.1
"""Seconds after which an escape sequence that isn't continued was the Escape key."""
PASTE_TIMEOUT = 5.0
"""Seconds after which a paste that isn't continued has ended: its end marker is lost."""
MAX_SEQUENCE = 64
"""Characters after which a control sequence is given up."""
MAX_STRING = 4096
"""The same for the reply to a query, which ends with BEL or `ESC \\`."""
MAX_PASTE = 256 * 1024
"""Characters of a paste; more are dropped. As UTF-8, it has at most 1 MiB: a request body may have 2 MB."""

PASTE_START, PASTE_END = "200~", "\x1b[201~"

CONTROL_KEYS = {
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x01": "home",
    "\x02": "left",
    "\x04": "end-of-input",
    "\x05": "end",
    "\x06": "right",
    "\x0b": "kill-to-end",
    "\x0c": "redraw",
    "\x0e": "down",
    "\x10": "up",
    "\x15": "kill-to-start",
    "\x17": "kill-word",
}
SEQUENCE_KEYS = {
    "A": "up",
    "B": "down",
    "C": "right",
    "D": "left",
    "H": "home",
    "F": "end",
    "1~": "home",
    "7~": "home",
    "4~": "end",
    "8~": "end",
    "3~": "delete",
}
"""What follows `ESC [` or `ESC O`, of xterm, the Linux console, rxvt and those that imitate them."""


class Key(NamedTuple):
    """A key by its name, or `text` with the characters that were typed, or `paste` with those that were pasted."""

    name: str
    text: str = ""


class KeyDecoder:
    """Turns bytes into keys. Its states, as in ECMA-48: plain text, after ESC, in a control sequence, in a string."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._state = self._plain
        self._sequence = ""
        self._paste: list[str] = []
        self._typed: list[str] = []
        self._keys: list[Key] = []

    @property
    def timeout(self) -> float | None:
        """Seconds to wait for more bytes before `give_up`; None if nothing is unfinished."""
        if self._state == self._in_paste:
            return PASTE_TIMEOUT
        return None if self._state == self._plain else ESCAPE_TIMEOUT

    def feed(self, data: bytes) -> list[Key]:
        """The keys that these bytes complete."""
        self._keys = []
        for character in self._decoder.decode(data):
            self._state(character)
        self._add()
        return self._keys

    def give_up(self) -> list[Key]:
        """End an unfinished sequence, which is ignored, or an unfinished paste, whose text is returned."""
        self._keys = []
        if self._state == self._in_paste:
            self._end_paste("".join(self._paste))
        self._state = self._plain
        return self._keys

    def _plain(self, character: str) -> None:
        if character == "\x1b":
            self._state = self._after_escape
        elif name := CONTROL_KEYS.get(character):
            self._add(Key(name))
        elif not _is_control(character):
            self._typed.append(character)

    def _after_escape(self, character: str) -> None:
        self._sequence = ""
        if character in "[O":
            self._state = self._in_sequence
        elif character in "]PX^_":
            self._state = self._in_string
        elif character != "\x1b":
            # A key with Alt, or the Escape key and then this one.
            self._state = self._plain

    def _in_sequence(self, character: str) -> None:
        if character < " " or character > "~" or len(self._sequence) == MAX_SEQUENCE:
            self._state = self._plain
            self._plain(character)
            return
        self._sequence += character
        # The Linux console sends `ESC [ [ A` for F1.
        if character < "@" or self._sequence == "[":
            return
        self._state = self._plain
        if self._sequence == PASTE_START:
            self._paste = []
            self._state = self._in_paste
        elif name := SEQUENCE_KEYS.get(self._sequence):
            self._add(Key(name))

    def _in_string(self, character: str) -> None:
        self._sequence += character
        if character == "\x07" or self._sequence.endswith("\x1b\\") or len(self._sequence) == MAX_STRING:
            self._state = self._plain

    def _in_paste(self, character: str) -> None:
        self._paste.append(character)
        if character == "~" and "".join(self._paste[-len(PASTE_END) :]) == PASTE_END:
            self._state = self._plain
            self._end_paste("".join(self._paste[: -len(PASTE_END)]))
        elif len(self._paste) > 2 * MAX_PASTE:
            # Keep what may be the start of the end marker.
            del self._paste[MAX_PASTE : -len(PASTE_END)]

    def _end_paste(self, text: str) -> None:
        self._paste = []
        # A terminal sends line breaks of a paste as carriage returns.
        lines = text.replace("\r\n", "\n").replace("\r", "\n")
        kept = "".join(each for each in lines[:MAX_PASTE] if each in "\n\t" or not _is_control(each))
        self._add(Key("paste", kept))

    def _add(self, *keys: Key) -> None:
        if self._typed:
            self._keys.append(Key("text", "".join(self._typed)))
            self._typed = []
        self._keys += keys


def _is_control(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f" or "\ud800" <= character <= "\udfff"
