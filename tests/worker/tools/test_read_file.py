from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from trioworker.errors import ToolError

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call


async def test_lines_are_numbered_as_in_the_contract(call: Call, root: Path) -> None:
    (root / "file").write_text("one\ntwo\n")
    assert msgspec.to_builtins(await call("read_file", path="file")) == {
        "content": "     1│ one\n     2│ two",
        "total_lines": 2,
        "lines_shown": 2,
        "path": "file",
    }


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
        ({"offset": 6}, []),
        ({"offset": 10**30}, []),
        ({"offset": 5, "limit": 10**30}, [5]),
    ],
)
async def test_offset_and_limit_select_lines(
    call: Call, root: Path, arguments: dict[str, object], numbers: list[int]
) -> None:
    (root / "file").write_text("a\nb\nc\nd\ne")
    result = await call("read_file", path="file", **arguments)
    assert result.total_lines == 5
    assert result.lines_shown == len(numbers)
    assert [int(line.split("│")[0]) for line in result.content.splitlines()] == numbers


async def test_empty_file_has_no_lines(call: Call, root: Path) -> None:
    (root / "file").touch()
    result = await call("read_file", path="file")
    assert (result.content, result.total_lines) == ("", 0)


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
    assert (await call("read_file", path="file")).content == "     1│ Grüße\n     2│ Ende"


async def test_only_line_feeds_end_lines(call: Call, root: Path) -> None:
    (root / "file").write_bytes("a\fb\u2028c\x0bd\re\n".encode())
    assert (await call("read_file", path="file")).total_lines == 1


async def test_readme_is_an_ordinary_file(call: Call, root: Path) -> None:
    (root / "README.md").write_text("about")
    assert (await call("read_file", path="README.md")).lines_shown == 1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none", "cannot read none: no such file or directory"),
        ("folder", "cannot read folder: it is a directory; use list_dir"),
        ("", "cannot read .: it is a directory; use list_dir"),
        ("fifo", "cannot read fifo: it is not a regular file"),
        ("socket", "cannot read socket: it is not a regular file"),
        ("zero", "cannot read zero: it is outside the workspace; give a path inside it"),
        ("binary", "cannot read binary: it is a binary file; look at it by shell"),
        ("broken", "cannot read broken: it is a binary file; look at it by shell"),
        ("large", "cannot read large: it is larger than 10 MiB; read parts by shell, or use grep"),
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
    with (root / "large").open("wb") as file:
        file.truncate(10 * 1024 * 1024 + 1)
    with trio.fail_after(5), pytest.raises(ToolError) as caught:
        await call("read_file", path=path)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


async def test_file_of_exactly_the_limit_is_read(call: Call, root: Path) -> None:
    (root / "file").write_bytes(b"x" * (10 * 1024 * 1024))
    assert (await call("read_file", path="file", offset=2)).total_lines == 1


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
async def test_file_without_read_permission_is_an_error(call: Call, root: Path) -> None:
    (root / "file").touch(mode=0)
    with pytest.raises(ToolError, match="cannot read file: permission denied"):
        await call("read_file", path="file")
