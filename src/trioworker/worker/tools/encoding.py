"""Decodes a file's bytes and encodes them again, so that an edit keeps the encoding and the byte order mark.

A byte order mark decides. Without one, a file is UTF-16 when every other byte is NUL, then UTF-8 if it is valid as
such, and otherwise Latin-1, which takes any bytes and gives them back unchanged. Other files with a NUL are binary.
"""

from __future__ import annotations

import codecs

import msgspec

from trioworker.errors import ToolError

PROBE_BYTES = 8192
"""Bytes at the start of a file in which a NUL marks it as binary; the same figure as git's."""

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

    @property
    def line_end(self) -> str:
        """What ends each of its lines; empty if there are none, or they differ."""
        ends = self.content.count("\n")
        windows = self.content.count("\r\n")
        if ends == 0 or 0 < windows < ends:
            return ""
        return "\r\n" if windows else "\n"

    def encode(self, content: str, shown: str) -> bytes:
        """Encode another content in the same encoding, after the same mark. `shown` names the file in errors.

        Raises:
            ToolError: the encoding lacks some of its characters.
        """
        try:
            return self.mark + content.encode(self.encoding)
        except UnicodeEncodeError as error:
            character = content[error.start]
            raise ToolError(
                f"cannot write {shown}: its encoding, {self.encoding}, can't represent {character!r}; use others",
            ) from error


def decode(data: bytes) -> Text | None:
    """`data` decoded as text, or None when it is binary."""
    found = recognize(data[:PROBE_BYTES], len(data))
    if found is None:
        return None
    encoding, mark = found
    text = _decoded(data, encoding, mark)
    if text is None and encoding == "utf-8" and not mark:
        return Text(data.decode("latin-1"), "latin-1")
    return text


def recognize(probe: bytes, size: int) -> tuple[str, bytes] | None:
    """The encoding and byte order mark of a file of `size` bytes that starts with `probe`; None when it is binary.

    `probe` is the first `PROBE_BYTES`, or all of a smaller file. "utf-8" without a mark may be Latin-1 as well: only
    the rest of the file can tell.
    """
    for mark, encoding in _MARKS:
        if probe.startswith(mark):
            return encoding, mark
    encoding = _unmarked_utf16(probe, size)
    if encoding is not None:
        return encoding, b""
    return None if b"\0" in probe else ("utf-8", b"")


def _decoded(data: bytes, encoding: str, mark: bytes = b"") -> Text | None:
    try:
        return Text(data[len(mark) :].decode(encoding), encoding, mark)
    except UnicodeDecodeError:
        return None


def _unmarked_utf16(probe: bytes, size: int) -> str | None:
    """UTF-16 without a mark, if most characters are ASCII: NUL is then every other byte, and nowhere else."""
    if size % 2 or b"\0" not in probe:
        return None
    even, odd = probe[::2].count(0), probe[1::2].count(0)
    if even == 0 and odd * 4 > len(probe):
        return "utf-16-le"
    if odd == 0 and even * 4 > len(probe):
        return "utf-16-be"
    return None
