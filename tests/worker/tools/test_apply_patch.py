from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from trioworker.errors import ToolError

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call


async def test_single_match_is_replaced(call: Call, root: Path) -> None:
    (root / "file").write_text("a < b && c\n")
    (root / "file").chmod(0o755)
    result = await call("apply_patch", path="file", old_string="a < b", new_string="b > a")
    assert result.text == "edited file: 1 replacement\n1\tb > a && c"
    assert result.diff == "--- file\n+++ file\n@@ -1 +1 @@\n-a < b && c\n+b > a && c"
    assert (root / "file").read_text() == "b > a && c\n"
    assert stat.S_IMODE((root / "file").stat().st_mode) == 0o755


async def test_empty_new_string_deletes(call: Call, root: Path) -> None:
    (root / "file").write_text("keep drop keep")
    await call("apply_patch", path="file", old_string=" drop", new_string="")
    assert (root / "file").read_text() == "keep keep"


async def test_several_matches_require_replace_all(call: Call, root: Path) -> None:
    (root / "file").write_text("x = 1\ny\nx = 1\nx = 1")
    with pytest.raises(
        ToolError, match=r"occurs 3 times in file, on lines 1, 3, 4; include more surrounding lines, or set"
    ):
        await call("apply_patch", path="file", old_string="x = 1", new_string="x = 2")
    result = await call("apply_patch", path="file", old_string="x = 1", new_string="x = 2", replace_all="true")
    assert result.text == "edited file: 3 replacements\n1\tx = 2\n3\tx = 2\n4\tx = 2"
    assert (root / "file").read_text() == "x = 2\ny\nx = 2\nx = 2"


async def test_only_the_first_line_numbers_are_listed(call: Call, root: Path) -> None:
    (root / "file").write_text("x\n" * 100)
    with pytest.raises(ToolError, match=r"occurs 100 times in file, on lines 1, 2, .*20, …;"):
        await call("apply_patch", path="file", old_string="x", new_string="y")


async def test_only_the_first_changed_lines_are_shown(call: Call, root: Path) -> None:
    (root / "file").write_text("x\n" * 100)
    result = await call("apply_patch", path="file", old_string="x", new_string="y", replace_all=True)
    assert result.text.splitlines()[1:] == [*(f"{number}\ty" for number in range(1, 11)), "…"]


async def test_lines_around_a_deletion_are_shown(call: Call, root: Path) -> None:
    (root / "file").write_text("a\nb\nc\nd\n")
    result = await call("apply_patch", path="file", old_string="b\nc\n", new_string="")
    assert result.text == "edited file: 1 replacement\n1\ta\n2\td"


async def test_empty_old_string_fills_only_an_empty_file(call: Call, root: Path) -> None:
    (root / "empty").touch()
    (root / "full").write_text("x")
    await call("apply_patch", path="empty", old_string="", new_string="new")
    assert (root / "empty").read_text() == "new"
    with pytest.raises(ToolError, match="old_string is empty; quote the text"):
        await call("apply_patch", path="full", old_string="", new_string="new")


async def test_empty_old_string_creates_a_missing_file(call: Call, root: Path) -> None:
    result = await call("apply_patch", path="a/new", old_string="", new_string="text\n")
    assert result.text == "created a/new: 5 bytes"
    assert (root / "a/new").read_text() == "text\n"


@pytest.mark.parametrize(("old", "new"), [("x\ny", "x\ny"), ("x\ny", "x\r\ny")])
async def test_patch_that_changes_nothing_is_an_error(call: Call, root: Path, old: str, new: str) -> None:
    (root / "file").write_text("x\ny")
    with pytest.raises(ToolError, match="nothing would change"):
        await call("apply_patch", path="file", old_string=old, new_string=new)


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
        ("a\r\nb\nc\r\n", "a\nb\nc\n", "a\nB\nc\n", "a\r\nB\nc\r\n"),
        ("a\nb\r\nc\n", "a\r\nb\nc", "a\r\nb\nC", "a\nb\r\nC\n"),
        ("a\r\nb", "b", "b\nc", "a\r\nb\r\nc"),
        ("a\n", "a", "a\r\nb", "a\r\nb\n"),
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
    with pytest.raises(ToolError, match="cannot write file: its encoding, latin-1, can't represent '→'"):
        await call("apply_patch", path="file", old_string="G", new_string="→")
    assert (root / "file").read_bytes() == "Grüße".encode("latin-1")


async def test_link_stays_a_link(call: Call, root: Path) -> None:
    (root / "file").write_text("old")
    (root / "link").symlink_to("file")
    await call("apply_patch", path="link", old_string="old", new_string="new")
    assert (root / "link").is_symlink()
    assert (root / "file").read_text() == "new"


async def test_edits_are_made_in_order(call: Call, root: Path) -> None:
    (root / "file").write_text("one\ntwo\nthree\n")
    edits = [
        {"old_string": "three", "new_string": "3"},
        {"oldText": "one\n", "newText": "0\n1\n"},
        {"old_str": "1", "new_str": "I", "replaceAll": True},
    ]
    result = await call("apply_patch", path="file", edits=edits)
    assert (root / "file").read_text() == "0\nI\ntwo\n3\n"
    assert result.text == "edited file: 3 replacements\n1\t0\n2\tI\n4\t3"


async def test_edit_that_fails_leaves_the_file_as_it_was(call: Call, root: Path) -> None:
    (root / "file").write_text("one\n")
    edits = [{"old_string": "one", "new_string": "1"}, {"old_string": "missing", "new_string": "2"}]
    with pytest.raises(ToolError, match=r"^no edit was made, because edits\[1\] failed: old_string is not in file; "):
        await call("apply_patch", path="file", edits=edits)
    assert (root / "file").read_text() == "one\n"


@pytest.mark.parametrize(
    ("edits", "failures"),
    [
        (
            [("top", "top\nmore"), ("x = 1", "x = 2")],
            ["edits[1] failed: old_string occurs 2 times in file, on lines 2, 4; include more"],
        ),
        (
            [("none", "new"), ("two", "2"), ("new", "N"), ("x = 1", "x = 2")],
            [
                "edits[0] failed: old_string is not in file; no similar line wa",
                "edits[2] failed: it changes what edits[0] adds",
                "edits[3] failed: old_string occurs 2 times in file, on lines 2, 4;",
            ],
        ),
        (
            [("top", "two"), ("two", "2")],
            ["edits[1] failed: old_string occurs 2 times in file after the edits before it; include more"],
        ),
        ([("two", "2"), ("two", "3")], ["edits[1] failed: a previous edit changes its old_string on line 3; merge"]),
        ([("none", "1")] * 9, [f"edits[{number}] failed: old_string is not in file; " for number in range(5)]),
    ],
)
async def test_failed_edits_are_explained_by_the_lines_of_the_file(
    call: Call, root: Path, edits: list[tuple[str, str]], failures: list[str]
) -> None:
    (root / "file").write_text("top\nx = 1\ntwo\nx = 1\n")
    with pytest.raises(ToolError) as caught:
        await call("apply_patch", path="file", edits=[{"old": old, "new": new} for old, new in edits])
    lines = str(caught.value).removeprefix("no edit was made, because ").splitlines()
    assert len(lines) == len(failures)
    assert [line[: len(failure)] for line, failure in zip(lines, failures, strict=True)] == failures


@pytest.mark.parametrize("edits", ['[{"old_string": "one", "new_string": "1"}]', {"search": "one", "replace": "1"}])
async def test_edits_may_be_text_or_a_single_one(call: Call, root: Path, edits: object) -> None:
    (root / "file").write_text("one\n")
    await call("apply_patch", path="file", edits=edits, old_string="", new_string=None, patch="")
    assert (root / "file").read_text() == "1\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"old_string": "x", "new_string": "y"}, "path: required but missing"),
        ({"path": "f", "old_string": "x"}, "new_string: required unless edits or patch is given"),
        ({"path": "f"}, "old_string, new_string: required unless edits or patch is given"),
        ({"path": "f", "edits": [], "old_string": ""}, "new_string: required"),
        ({"path": "f", "old_string": "x", "edits": [{"old_string": "x", "new_string": "y"}]}, "old_string: can't be"),
        (
            {"patch": "*** Begin Patch", "old_string": "x"},
            "old_string: can't be combined with patch; give one or the other",
        ),
        ({"path": "f", "edits": [{"old_string": "x"}]}, r"edits\[0\]: Object missing required field `new_string`"),
        (
            {"path": "f", "edits": [{"old": "x", "to": "y"}]},
            "edits: item 0: to: unknown; the parameters are",
        ),
        ({"path": "f", "edits": "x"}, "edits: expected a list of objects"),
        ({"path": "f", "edits": [{"old": "x", "new": ""}] * 501}, "edits: at most 500 are allowed, not 501"),
    ],
)
async def test_incompatible_arguments_are_an_error(call: Call, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ToolError, match=f"^invalid parameters: {message}"):
        await call("apply_patch", **arguments)
