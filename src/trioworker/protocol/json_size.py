"""Bounds the memory that decoded JSON takes: a list of empty lists takes twenty times the bytes of its text."""

from __future__ import annotations

MAX_STRUCTURE_BYTES = 1024 * 1024
"""Bytes of JSON that are neither in strings nor white space. Decoded, these take up to 40 times as much memory. Models
send their long values, such as files, as strings.
"""
TOO_MANY_VALUES = f"too many values: over {MAX_STRUCTURE_BYTES} bytes of brackets, commas, numbers and other signs"
"""What is wrong, for an error."""

_CHUNK_BYTES = 64 * 1024
_WHITE_SPACE = b" \t\r\n"


def has_too_many_values(data: bytes | str) -> bool:
    """Whether JSON has so many values that it must not be decoded. It need not be valid.

    Takes linear time, and little memory. Almost all texts are so short that they need no check.
    """
    if len(data) <= MAX_STRUCTURE_BYTES:
        return False
    size, is_string, start = 0, False, 0
    while start < len(data) and size <= MAX_STRUCTURE_BYTES:
        chunk, start = _chunk(data, start)
        parts = chunk.translate(None, _WHITE_SPACE).replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        size += sum(map(len, parts[1 if is_string else 0 :: 2]))
        # The quotes in a chunk are one fewer than its parts.
        is_string ^= len(parts) % 2 == 0
    return size > MAX_STRUCTURE_BYTES


def _chunk(data: bytes | str, start: int) -> tuple[bytes, int]:
    """The next bytes, and where they end. No escape is split."""
    backslash = b"\\" if isinstance(data, bytes) else "\\"
    end = start + _CHUNK_BYTES
    while data[end - 1 : end] == backslash:
        end += 1
    chunk = data[start:end]
    return (chunk if isinstance(chunk, bytes) else chunk.encode("utf-8", "replace")), end
