"""A file's bytes as text and back, so that an edit keeps encoding and byte order mark.

A mark decides; without one it is UTF-8, UTF-16 when every other byte of it is NUL, and else Latin-1, which takes any
bytes and gives them back unchanged. Bytes that are no text at all are told as such.
"""

from __future__ import annotations

import codecs

import msgspec

from trioworker.errors import ToolError

PROBE_BYTES = 8192
"""Bytes in which a NUL tells a binary file from a text, as git does."""

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Text(msgspec.Struct, frozen=True):
    """A file's text, without its byte order mark, and how to write it again."""

    content: str
    encoding: str
    mark: bytes = b""

    def encode(self, content: str, shown: str) -> bytes:
        """Another content in the same encoding, behind the same mark.

        Raises:
            ToolError: it holds characters that the encoding lacks. `shown` names the file.
        """
        try:
            return self.mark + content.encode(self.encoding)
        except UnicodeEncodeError as error:
            character = content[error.start]
            raise ToolError(
                f"cannot write {shown}: its encoding, {self.encoding}, has no {character!r}; use other characters",
            ) from error


def decode(data: bytes) -> Text | None:
    """The text that `data` is, or None when it is binary."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decoded(data, encoding, mark)
    encoding = _unmarked_utf16(data)
    if encoding is not None:
        return _decoded(data, encoding)
    if b"\0" in data[:PROBE_BYTES]:
        return None
    return _decoded(data, "utf-8") or Text(data.decode("latin-1"), "latin-1")


def _decoded(data: bytes, encoding: str, mark: bytes = b"") -> Text | None:
    try:
        return Text(data[len(mark) :].decode(encoding), encoding, mark)
    except UnicodeDecodeError:
        return None


def _unmarked_utf16(data: bytes) -> str | None:
    """UTF-16 without a mark, if most characters are ASCII: NUL is then every other byte, and nowhere else."""
    probe = data[:PROBE_BYTES]
    if len(data) % 2 or b"\0" not in probe:
        return None
    even, odd = probe[::2].count(0), probe[1::2].count(0)
    if even == 0 and odd * 4 > len(probe):
        return "utf-16-le"
    if odd == 0 and even * 4 > len(probe):
        return "utf-16-be"
    return None
