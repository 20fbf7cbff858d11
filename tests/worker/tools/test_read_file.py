from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

import trioworker
from support.tooling import entries, remarks
from trioworker.errors import ToolError
from trioworker.worker.config import DEFAULT_OUTPUT_LIMIT
from trioworker.worker.tools.line_blocks import MAX_PIECE_BYTES

if TYPE_CHECKING:
    from support.tooling import Call


async def test_lines_are_numbered_as_in_the_contract(call: Call, root: Path) -> None:
    (root / "file").write_text("one\n\n\ttwo\n")
    assert await call("read_file", path="file") == "1\tone\n2\t\n3\t\ttwo"


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"offset": 4}, [4, 5]),
        ({"offset": "2", "limit": "2"}, [2, 3]),
        ({"limit": 0}, [1, 2, 3, 4, 5]),
        ({"limit": None, "offset": None}, [1, 2, 3, 4, 5]),
        ({"offset": 0}, [1, 2, 3, 4, 5]),
        ({"offset": -3, "limit": 1}, [1]),
        ({"offset": 5, "limit": 10**30}, [5]),
    ],
)
async def test_offset_and_limit_select_lines(
    call: Call, root: Path, arguments: dict[str, object], numbers: list[int]
) -> None:
    (root / "file").write_text("a\nb\nc\nd\ne")
    result = await call("read_file", path="file", **arguments)
    assert [int(line.split("\t")[0]) for line in entries(result)] == numbers
    assert remarks(result) == ([] if len(numbers) == 5 else [f"lines {numbers[0]}-{numbers[-1]} of 5"])


@pytest.mark.parametrize("offset", [6, 10**30])
async def test_offset_past_the_end_is_answered_with_the_number_of_lines(call: Call, root: Path, offset: int) -> None:
    (root / "file").write_text("a\nb\nc\nd\ne")
    result = await call("read_file", path="file", offset=offset)
    assert result == f"[offset {offset} is past the end: the file has 5 lines]"


async def test_empty_file_has_no_lines(call: Call, root: Path) -> None:
    (root / "file").touch()
    assert await call("read_file", path="file") == "[the file is empty]"


async def test_long_file_is_read_by_the_offsets_that_results_give(call: Call, root: Path) -> None:
    lines = [f"line {number} of the file, " * 3 for number in range(1, 3001)]
    (root / "file").write_text("\n".join(lines))
    read: list[str] = []
    arguments: dict[str, int] = {}
    while True:
        result = await call("read_file", path="file", **arguments)
        assert len(result.encode()) <= DEFAULT_OUTPUT_LIMIT
        read += [line.partition("\t")[2] for line in entries(result)]
        (remark,) = remarks(result)
        found = re.fullmatch(r"lines (\d+)-(\d+) of 3000; continue with offset (\d+)", remark)
        if found is None:
            break
        assert int(found[3]) == int(found[2]) + 1 == len(read) + 1
        arguments = {"offset": int(found[3])}
    assert read == lines


async def test_line_over_the_limit_is_cut_between_words(call: Call, root: Path) -> None:
    (root / "file").write_text("first\n" + "wörd " * 1_000_000 + "\nlast\n")
    assert await call("read_file", path="file") == "1\tfirst\n[lines 1-1 of 3; continue with offset 2]"
    result = await call("read_file", path="file", offset=2)
    shown, _, rest = entries(result)[0].partition("... [")
    assert shown.startswith("2\twörd wörd")
    assert shown.endswith(" wörd ")
    assert rest == "the line is longer; see the rest with shell]"
    assert remarks(result) == ["lines 2-2 of 3; continue with offset 3"]
    assert await call("read_file", path="file", offset=3) == "3\tlast\n[lines 3-3 of 3]"


@pytest.mark.parametrize("size", [MAX_PIECE_BYTES - 1, MAX_PIECE_BYTES, 3 * MAX_PIECE_BYTES])
async def test_lines_of_any_length_are_counted_once(call: Call, root: Path, size: int) -> None:
    (root / "file").write_text(("x" * size + "\n") * 3 + "end")
    assert await call("read_file", path="file", offset=4) == "4\tend\n[lines 4-4 of 4]"
    assert remarks(await call("read_file", path="file", offset=2))[-1].startswith("lines 2-2 of 4")


async def test_reading_source_files_costs_little_more_than_their_text(call: Call, root: Path) -> None:
    for source in sorted(Path(trioworker.__file__).parent.rglob("*.py")):
        text = source.read_text()
        (root / "file").write_text(text)
        shown = await call("read_file", path="file")
        assert len(shown.encode()) <= 1.12 * len(text.encode()) + 4 * text.count("\n") + len("[the file is empty]")


@pytest.mark.parametrize(
    "data",
    [
        "Grüße\r\nEnde\r\n".encode(),
        "Grüße\nEnde".encode("utf-8-sig"),
        "Grüße\nEnde".encode("utf-16"),
        b"\xfe\xff" + "Grüße\nEnde".encode("utf-16-be"),
        "Grüße\nEnde".encode("utf-16-le"),
        "Grüße\nEnde".encode("utf-16-be"),
        "Grüße\nEnde".encode("utf-32"),
        "Grüße\nEnde".encode("latin-1"),
    ],
)
async def test_encodings_are_recognized(call: Call, root: Path, data: bytes) -> None:
    (root / "file").write_bytes(data)
    assert (await call("read_file", path="file")) == "1\tGrüße\n2\tEnde"


async def test_only_line_feeds_end_lines(call: Call, root: Path) -> None:
    (root / "file").write_bytes("a\fb\u2028c\x0bd\re\n".encode())
    assert (await call("read_file", path="file")).count("\n") == 0


async def test_readme_is_an_ordinary_file(call: Call, root: Path) -> None:
    (root / "README.md").write_text("about")
    assert await call("read_file", path="README.md") == "1\tabout"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none", "cannot read none: no such file or directory"),
        ("folder", "cannot read folder: it is a directory; use list_dir"),
        ("", "cannot read .: it is a directory; use list_dir"),
        ("fifo", "cannot read fifo: it is not a regular file"),
        ("socket", "cannot read socket: it is not a regular file"),
        ("zero", "cannot read zero: it is outside the workspace; give a path inside it"),
        ("binary", "cannot read binary: it is a binary file; inspect it with file, strings or xxd in shell"),
        ("broken", "cannot read broken: it is a binary file; inspect it with file, strings or xxd in shell"),
        ("../file", "cannot read ../file: it is outside the workspace; give a path inside it"),
        ("/etc/passwd", "cannot read /etc/passwd: it is outside the workspace; give a path inside it"),
    ],
)
async def test_path_that_cannot_be_read_is_an_error_of_one_line(
    call: Call, root: Path, path: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "folder").mkdir()
    os.mkfifo(root / "fifo")
    monkeypatch.chdir(root)  # a socket's path may have 107 bytes only
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
    (root / "zero").symlink_to("/dev/zero")
    (root / "binary").write_bytes(b"\x7fELF\0\0\1\2\3")
    (root / "broken").write_bytes(b"\xff\xfe\x00\xd8")
    with trio.fail_after(5), pytest.raises(ToolError) as caught:
        await call("read_file", path=path)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
async def test_file_without_read_permission_is_an_error(call: Call, root: Path) -> None:
    (root / "file").touch(mode=0)
    with pytest.raises(ToolError, match="cannot read file: permission denied"):
        await call("read_file", path="file")
