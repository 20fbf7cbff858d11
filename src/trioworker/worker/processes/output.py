"""Collects the output of a command in bounded memory: its head and its tail."""

from __future__ import annotations

import fcntl
import os
import re
import termios

from trioworker.protocol.limits import KIB, MIB
from trioworker.worker.processes.terminal_text import terminal_text

MAX_COLLECTED_BYTES = 8 * MIB
"""Bytes of a command's output that are collected, half from the head and half from the tail. Converting them to text
takes up to 16 bytes of memory for each: 32 bits per character, and some copies.
"""
SKIPPED_BYTES = 16 * KIB
"""Bytes that are dropped after a gap: they may be the rest of a private key, which only its first line reveals."""
MAX_WORD_BYTES = 4096
"""Bytes up to which a word at a cut is dropped as a whole: longer than any token or one-line key."""

READ_BYTES = 64 * 1024
"""Bytes to read at once: the capacity of a pipe (pipe(7))."""

# A word ends at white space, since a secret may contain any other character. Where that is too far away, as in minified
# code and data, it also ends at what separates values there.
_WORD_CLASSES = (rb"\s", rb"\s\"'`,;<>")
# Each sees `MAX_WORD_BYTES` and one more byte; a word that fills them is no token and may be cut.
_WORDS_AT_END = (
    *(re.compile(rb"(?<=[%b])[^%b]++\Z" % (ends, ends)) for ends in _WORD_CLASSES),
    re.compile(rb"\A[^%b]{1,%d}+\Z" % (_WORD_CLASSES[-1], MAX_WORD_BYTES)),
)
_WORDS_AT_START = [re.compile(rb"[^%b]++(?:\s++[^%b]++){0,2}(?!\Z)" % (ends, ends)) for ends in _WORD_CLASSES]


def read_available(descriptor: int) -> list[bytes]:
    """Read what a non-blocking pipe holds now, not what a background process writes meanwhile.

    Any process of the command can open the pipe for reading, and take data in between.
    """
    rest = int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), "little")
    pieces: list[bytes] = []
    while rest > 0:
        try:
            data = os.read(descriptor, min(rest, READ_BYTES))
        except BlockingIOError:
            break
        if not data:
            break
        pieces.append(data)
        rest -= len(data)
    return pieces


def without_broken_end(head: bytes) -> bytes:
    """The head of a truncated text, without the word that the cut may have split.

    Redaction can't recognize a part of a secret.
    """
    for word in _WORDS_AT_END:
        if broken := word.search(head, max(0, len(head) - MAX_WORD_BYTES - 1)):
            return head[: broken.start()]
    return head


def without_broken_start(tail: bytes) -> bytes:
    """The tail of a truncated text, without the word that the cut may have split and the next two.

    Redaction recognizes some tokens only by the words before them (`Authorization: Basic …`).
    """
    for words in _WORDS_AT_START:
        if broken := words.match(tail, 0, MAX_WORD_BYTES + 1):
            return tail[broken.end() :]
    return tail


class CollectedOutput:
    """A byte stream, or its first and last `limit / 2` bytes."""

    def __init__(self, limit: int = MAX_COLLECTED_BYTES) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.size = 0

    def feed(self, data: bytes) -> None:
        """Add the next piece of the stream."""
        self.size += len(data)
        room = self._half - len(self._head)
        self._head += data[:room]
        # Only the end of a piece can be part of the tail.
        self._tail += data[room:][-self._half :]
        del self._tail[: -self._half]

    @property
    def is_complete(self) -> bool:
        """Whether the stream was within the limit."""
        return self.size <= len(self._head) + len(self._tail)

    def text(self) -> str:
        """The text, as a terminal would show it, with a remark where some of it is missing.

        The remark is between whole lines, or if these are long, between whole words, so that no secret is cut in half.
        """
        head, tail = bytes(self._head), bytes(self._tail)
        if self.is_complete:
            return terminal_text(head + tail)
        skipped = min(SKIPPED_BYTES, self._half // 4)
        end = head.rfind(b"\n", len(head) - skipped)
        head = head[:end] if end >= 0 else without_broken_end(head.rstrip(_CONTINUATION_BYTES).rstrip(_LEADING_BYTES))
        start = tail.find(b"\n", skipped, 2 * skipped) + 1
        tail = tail[start:] if start else without_broken_start(tail[skipped:].lstrip(_CONTINUATION_BYTES))
        dropped = self.size - len(head) - len(tail)
        return f"{terminal_text(head)}\n[{dropped} bytes of the output were dropped here]\n{terminal_text(tail)}"


_CONTINUATION_BYTES, _LEADING_BYTES = bytes(range(0x80, 0xC0)), bytes(range(0xC0, 0x100))
"""Of UTF-8 characters."""
