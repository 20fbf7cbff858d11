from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import msgspec
import pytest

from trioworker.errors import ToolError

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call


async def test_single_match_is_replaced(call: Call, root: Path) -> None:
    (root / "file").write_text("a < b && c\n")
    (root / "file").chmod(0o755)
    result = await call("apply_patch", path="file", old_string="a < b", new_string="b > a")
    assert msgspec.to_builtins(result) == {"path": "file", "replacements": 1, "success": True}
    assert (root / "file").read_text() == "b > a && c\n"
    assert stat.S_IMODE((root / "file").stat().st_mode) == 0o755


async def test_empty_new_string_deletes(call: Call, root: Path) -> None:
    (root / "file").write_text("keep drop keep")
    await call("apply_patch", path="file", old_string=" drop", new_string="")
    assert (root / "file").read_text() == "keep keep"


async def test_several_matches_require_replace_all(call: Call, root: Path) -> None:
    (root / "file").write_text("x = 1\ny\nx = 1\nx = 1")
    with pytest.raises(
        ToolError, match=r"occurs 3 times in file, on lines 1, 3, 4; quote more lines around it, or set"
    ):
        await call("apply_patch", path="file", old_string="x = 1", new_string="x = 2")
    result = await call("apply_patch", path="file", old_string="x = 1", new_string="x = 2", replace_all="true")
    assert result.replacements == 3
    assert (root / "file").read_text() == "x = 2\ny\nx = 2\nx = 2"


async def test_only_the_first_line_numbers_are_listed(call: Call, root: Path) -> None:
    (root / "file").write_text("x\n" * 100)
    with pytest.raises(ToolError, match=r"occurs 100 times in file, on lines 1, 2, .*20, …;"):
        await call("apply_patch", path="file", old_string="x", new_string="y")


@pytest.mark.parametrize(
    ("old", "hint"),
    [
        ("nothing", "read the file again and quote it exactly"),
        ("     2│ def f():", "leave out the line numbers that read_file shows"),
        ("  def f():\n  return 1", "line 2 differs only in white space: quote it exactly"),
        (" ", "read the file again"),
    ],
)
async def test_absent_old_string_is_an_error_with_a_hint(call: Call, root: Path, old: str, hint: str) -> None:
    (root / "file").write_text(
        "#!\ndef\tf():\n\treturn\t1\n".replace("\tf", " f").replace("\t1", " 1").replace(" ", " ")
    )
    (root / "blank").write_text("x")
    path = "blank" if old == " " else "file"
    with pytest.raises(ToolError, match=rf"^old_string is not in {path}; {hint}"):
        await call("apply_patch", path=path, old_string=old, new_string="x")


async def test_empty_old_string_fills_only_an_empty_file(call: Call, root: Path) -> None:
    (root / "empty").touch()
    (root / "full").write_text("x")
    assert (await call("apply_patch", path="empty", old_string="", new_string="new")).replacements == 1
    assert (root / "empty").read_text() == "new"
    with pytest.raises(ToolError, match="old_string is empty; quote the text"):
        await call("apply_patch", path="full", old_string="", new_string="new")


async def test_patch_that_changes_nothing_is_an_error(call: Call, root: Path) -> None:
    (root / "file").write_text("x")
    with pytest.raises(ToolError, match="are the same"):
        await call("apply_patch", path="file", old_string="x", new_string="x")


async def test_missing_file_is_an_error(call: Call) -> None:
    with pytest.raises(ToolError, match="cannot read none: no such file"):
        await call("apply_patch", path="none", old_string="x", new_string="y")


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        ("a\r\nb\r\nc\r\n", "a\nb", "x\ny\nz", "x\r\ny\r\nz\r\nc\r\n"),
        ("a\r\nb\r\n", "b", "x\ny", "a\r\nx\r\ny\r\n"),
        ("a\r\nb\r\n", "a\r\nb", "x\r\ny", "x\r\ny\r\n"),
        ("a\nb\n", "a\r\nb", "x\r\ny", "x\ny\n"),
        ("a\r\nb\nc\n", "b\nc", "x\ny", "a\r\nx\ny\n"),
        ("a\r\nb\nc\n", "a\nb", "x\ny", "x\r\ny\nc\n"),
    ],
)
async def test_line_ends_are_kept(call: Call, root: Path, before: str, old: str, new: str, after: str) -> None:
    (root / "file").write_bytes(before.encode())
    await call("apply_patch", path="file", old_string=old, new_string=new)
    assert (root / "file").read_bytes() == after.encode()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
async def test_encoding_and_byte_order_mark_are_kept(call: Call, root: Path, encoding: str) -> None:
    (root / "file").write_bytes("Grüße\r\nalt\r\n".encode(encoding))
    await call("apply_patch", path="file", old_string="alt", new_string="für neu")
    assert (root / "file").read_bytes() == "Grüße\r\nfür neu\r\n".encode(encoding)


async def test_character_that_the_encoding_lacks_is_an_error_and_changes_nothing(call: Call, root: Path) -> None:
    (root / "file").write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(ToolError, match="cannot write file: its encoding, latin-1, has no '→'"):
        await call("apply_patch", path="file", old_string="G", new_string="→")
    assert (root / "file").read_bytes() == "Grüße".encode("latin-1")


async def test_link_stays_a_link(call: Call, root: Path) -> None:
    (root / "file").write_text("old")
    (root / "link").symlink_to("file")
    await call("apply_patch", path="link", old_string="old", new_string="new")
    assert (root / "link").is_symlink()
    assert (root / "file").read_text() == "new"
