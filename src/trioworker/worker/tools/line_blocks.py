"""A file's text in blocks of whole lines, so that a file of any size can be searched in little memory.

A line that is longer than a block comes in pieces, each of which repeats the end of the piece before, so that a match
at the border is in one piece or the other. Text is UTF-8, and lines end with `\\n`, whatever the file has.
"""

from __future__ import annotations

import codecs
import os
from typing import TYPE_CHECKING, NamedTuple

from trioworker.worker.tools.encoding import PROBE_BYTES, recognize

if TYPE_CHECKING:
    from collections.abc import Iterator

READ_BYTES = 256 * 1024
MAX_PIECE_BYTES = 1024 * 1024
"""Bytes of a line beyond which it comes in pieces."""
OVERLAP_BYTES = 64 * 1024
"""Bytes of a match, and of what precedes it, that are always found within one piece of a long line."""
RECODED_BYTES = 16 * 1024
"""Bytes that are re-encoded at once."""
SHOWN_BEFORE_BYTES = 16 * 1024
"""Bytes at the start of a piece that are there to be shown before a match, and were searched before."""


class Block(NamedTuple):
    """Consecutive lines."""

    text: bytes
    number: int
    """The number of the first line, counted from 1."""
    start: int = 0
    """Offset from which to search: what precedes it was searched as a part of the block before."""
    is_unfinished: bool = False
    """Whether the last line continues in the next block."""


class BinaryFileError(Exception):
    """The file isn't text."""


def read_blocks(descriptor: int, size: int) -> Iterator[Block]:
    """The text of an open file of `size` bytes.

    Raises:
        BinaryFileError: before the first block.
        OSError: the disk's.
    """
    held = b""
    number, start = 1, 0
    for chunk in _utf8_chunks(descriptor, size):
        end = chunk.rfind(b"\n") + 1
        held += chunk
        if end:
            end += len(held) - len(chunk)
            block = Block(_normalized(held[:end]), number, start)
            yield block
            number += block.text.count(b"\n")
            held, start = held[end:], 0
        if len(held) > MAX_PIECE_BYTES:
            end = _character_start(held, len(held))
            yield Block(_normalized(held[:end]), number, start, is_unfinished=True)
            kept = _character_start(held, end - OVERLAP_BYTES - SHOWN_BEFORE_BYTES)
            held, start = held[kept:], SHOWN_BEFORE_BYTES
    if held:
        yield Block(_normalized(held + b"\n"), number, start)


def _utf8_chunks(descriptor: int, size: int) -> Iterator[bytes]:
    """The file's bytes, recoded to UTF-8 if they are UTF-16 or UTF-32, without a byte order mark."""
    first = os.read(descriptor, READ_BYTES)
    probe = first[:PROBE_BYTES]
    found = recognize(probe, size)
    if found is None:
        raise BinaryFileError
    encoding, mark = found
    if encoding == "utf-8":
        yield first[len(mark) :]
        while chunk := os.read(descriptor, READ_BYTES):
            yield chunk
        return
    make_decoder = codecs.getincrementaldecoder(encoding)
    try:
        make_decoder("strict").decode(probe, final=len(probe) == size)
    except UnicodeDecodeError as error:
        raise BinaryFileError from error
    decoder = make_decoder("replace")
    chunk = first[len(mark) :]
    while chunk:
        yield decoder.decode(chunk).encode("utf-8", "replace")
        chunk = os.read(descriptor, READ_BYTES)
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def _normalized(text: bytes) -> bytes:
    if b"\r\n" in text:
        text = text.replace(b"\r\n", b"\n")
    if text.isascii():
        return text
    try:
        text.decode()
    except UnicodeDecodeError:
        return b"".join(map(_recoded, _pieces(text)))
    return text


def _pieces(text: bytes) -> Iterator[bytes]:
    """Whole lines of about `RECODED_BYTES`: each short line that is an object of its own takes many times its size."""
    start = 0
    while start < len(text):
        end = text.rfind(b"\n", start, start + RECODED_BYTES) + 1 or text.find(b"\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _recoded(text: bytes) -> bytes:
    return b"\n".join(map(_as_utf8, text.split(b"\n")))


def _as_utf8(line: bytes) -> bytes:
    try:
        line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1").encode()
    return line


def _character_start(text: bytes, position: int) -> int:
    """`position`, or the start of the UTF-8 character that it would cut."""
    for start in range(position, max(position - 4, 0), -1):
        lead = text[start - 1]
        if lead < 0x80:
            return position
        if lead >= 0xC0:
            length = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return position if start - 1 + length <= position else start - 1
    return position
