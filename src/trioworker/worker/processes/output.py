"""What is kept of a command's output: its head and its tail, whatever its length, never the whole."""

from __future__ import annotations

import codecs
import re

MAX_OUTPUT_BYTES = 64 * 1024
"""Bytes of a command's output that the model gets (contract, 'Tools'), half from the head and half from the tail."""


MAX_WORD_BYTES = 4096
"""Bytes of a word that is dropped whole where a cut would halve it: longer than any token or key on one line."""

_WORD = rb"[A-Za-z0-9._~+/=:@%-]"
# Each looks at a piece of `MAX_WORD_BYTES` and one byte more; a word that fills it is no token, and may be cut.
_WORD_AT_END = re.compile(rb"(?<=[^%b)%b++\Z" % (_WORD[1:], _WORD))
_WORDS_AT_START = re.compile(rb"%b*+(?:\s++%b++){0,2}(?!\Z)" % (_WORD, _WORD))


def without_broken_end(head: bytes) -> bytes:
    """The head of a text that is cut behind it, without the word that the cut may have halved.

    Half of a secret has no shape that redaction could know.
    """
    broken = _WORD_AT_END.search(head, max(0, len(head) - MAX_WORD_BYTES - 1))
    return head[: broken.start()] if broken else head


def without_broken_start(tail: bytes) -> bytes:
    """The tail of a text that is cut before it, without the word that the cut may have halved and the two after it.

    A token alone has no shape either: what tells it may stand in the words before (`Authorization: Basic …`).
    """
    broken = _WORDS_AT_START.match(tail, 0, MAX_WORD_BYTES + 1)
    return tail[broken.end() :] if broken else tail


class BoundedOutput:
    """A window on a stream of bytes that is meant as UTF-8; what is not is shown replaced.

    It holds at most `limit` bytes and the piece that was fed last. No character is cut in half, and no word: a token
    or a key at the cut is shown whole or not at all.
    """

    def __init__(self, limit: int = MAX_OUTPUT_BYTES) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> None:
        """Take the next piece of the stream."""
        self._keep(self._decoder.decode(data).encode())

    def text(self) -> str:
        """All that was fed if it fits, else head and tail with `... [truncated N bytes] ...` between."""
        self._keep(self._decoder.decode(b"", final=True).encode())
        if self._total <= len(self._head) + len(self._tail):
            return (self._head + self._tail).decode()
        head = without_broken_end(bytes(self._head)).decode(errors="ignore")
        tail = without_broken_start(bytes(self._tail).lstrip(_CONTINUATION_BYTES)).decode()
        dropped = self._total - len(head.encode()) - len(tail.encode())
        return f"{head}\n... [truncated {dropped} bytes] ...\n{tail}"

    def _keep(self, valid: bytes) -> None:
        self._total += len(valid)
        room = self._half - len(self._head)
        self._head += valid[:room]
        # Only the last half of a piece can matter, however long the piece is.
        self._tail += valid[room:][-self._half :]
        del self._tail[: -self._half]


_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))
