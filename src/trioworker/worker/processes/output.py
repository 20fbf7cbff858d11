"""Bounds the output of a command: keeps its head and its tail."""

from __future__ import annotations

import codecs
import re

MAX_OUTPUT_BYTES = 64 * 1024
"""Bytes of a command's output that the model gets (contract, 'Tools'): half from the head, half from the tail."""

MAX_WORD_BYTES = 4096
"""Bytes up to which a word at a cut is dropped as a whole: longer than any token or one-line key."""

_WORD = rb"[A-Za-z0-9._~+/=:@%-]"
# Each sees `MAX_WORD_BYTES` and one more byte; a word that fills them is no token and may be cut.
_WORD_AT_END = re.compile(rb"(?<=[^%b)%b++\Z" % (_WORD[1:], _WORD))
_WORDS_AT_START = re.compile(rb"%b*+(?:\s++%b++){0,2}(?!\Z)" % (_WORD, _WORD))


def without_broken_end(head: bytes) -> bytes:
    """The head of a truncated text, without the word that the cut may have split.

    Redaction can't recognize a part of a secret.
    """
    broken = _WORD_AT_END.search(head, max(0, len(head) - MAX_WORD_BYTES - 1))
    return head[: broken.start()] if broken else head


def without_broken_start(tail: bytes) -> bytes:
    """The tail of a truncated text, without the word that the cut may have split and the next two.

    Redaction recognizes some tokens only by the words before them (`Authorization: Basic …`).
    """
    broken = _WORDS_AT_START.match(tail, 0, MAX_WORD_BYTES + 1)
    return tail[broken.end() :] if broken else tail


class BoundedOutput:
    """The head and tail of a byte stream, decoded as UTF-8 with replacement characters.

    Holds at most `limit` bytes and the piece that was fed last. No character and no word is split: a token or a key at
    the cut is either complete or missing.
    """

    def __init__(self, limit: int = MAX_OUTPUT_BYTES) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> None:
        """Add the next piece of the stream."""
        self._append(self._decoder.decode(data).encode())

    def text(self) -> str:
        """The whole text if it fits, else its head, `... [truncated N bytes] ...` and its tail."""
        self._append(self._decoder.decode(b"", final=True).encode())
        if self._total <= len(self._head) + len(self._tail):
            return (self._head + self._tail).decode()
        head = without_broken_end(bytes(self._head)).decode(errors="ignore")
        tail = without_broken_start(bytes(self._tail).lstrip(_CONTINUATION_BYTES)).decode()
        dropped = self._total - len(head.encode()) - len(tail.encode())
        return f"{head}\n... [truncated {dropped} bytes] ...\n{tail}"

    def _append(self, valid: bytes) -> None:
        self._total += len(valid)
        room = self._half - len(self._head)
        self._head += valid[:room]
        # Only the end of a piece can be part of the tail.
        self._tail += valid[room:][-self._half :]
        del self._tail[: -self._half]


_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))
