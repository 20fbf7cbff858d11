"""The format of an existing file that `write_file` keeps, and the remark about it in the result."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call


@pytest.mark.parametrize(
    ("old", "content", "new", "note"),
    [
        (b"a\r\nb\r\n", "c\nd\n", b"c\r\nd\r\n", "; kept its CRLF line endings"),
        (b"a\r\nb\r\n", "c\r\nd\r\n", b"c\r\nd\r\n", ""),
        (b"a\nb\n", "c\r\nd\r\n", b"c\nd\n", "; kept its LF line endings"),
        (b"a\r\nb\n", "c\nd\r\n", b"c\nd\r\n", ""),
        (b"no line end", "c\r\nd\r\n", b"c\r\nd\r\n", ""),
        (codecs.BOM_UTF8 + b"a", "\u00e9", codecs.BOM_UTF8 + b"\xc3\xa9", "; kept its utf-8 byte order mark"),
        (codecs.BOM_UTF8 + b"a", "\ufeffb", codecs.BOM_UTF8 + b"b", "; kept its utf-8 byte order mark"),
        (
            codecs.BOM_UTF16_LE + "a\r\n".encode("utf-16-le"),
            "b\n",
            codecs.BOM_UTF16_LE + "b\r\n".encode("utf-16-le"),
            "; kept its CRLF line endings and utf-16-le byte order mark",
        ),
        (b"caf\xe9", "th\u00e9", b"th\xe9", "; kept its encoding, latin-1"),
        (b"caf\xe9", "\u20ac", "\u20ac".encode(), "; it is now UTF-8: its encoding, latin-1, can't represent '\u20ac'"),
        (b"\0binary\r\n", "text\n", b"text\n", ""),
        (b"", "text\r\n", b"text\r\n", ""),
    ],
)
async def test_replaced_file_keeps_its_format(
    call: Call, root: Path, old: bytes, content: str, new: bytes, note: str
) -> None:
    (root / "file").write_bytes(old)
    result = await call("write_file", path="file", content=content)
    assert (root / "file").read_bytes() == new
    assert result.text == f"wrote {len(new)} {'byte' if len(new) == 1 else 'bytes'} to file{note}"


async def test_result_has_a_diff_of_the_change(call: Call, root: Path) -> None:
    (root / "file").write_bytes(b"one\r\ntwo\r\n")
    result = await call("write_file", path="file", content="one\n2\n")
    assert result.diff == "--- file\n+++ file\n@@ -1,2 +1,2 @@\n one\n-two\n+2"


async def test_file_over_the_read_limit_is_replaced_in_its_format(call: Call, root: Path) -> None:
    (root / "file").write_bytes("é\r\n".encode() * 3_000_000)
    result = await call("write_file", path="file", content="é\n")
    assert (root / "file").read_bytes() == "é\r\n".encode()
    assert result.text == "wrote 4 bytes to file; kept its CRLF line endings"
