from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest

from trioworker.errors import ToolError
from trioworker.worker.tools.list_dir import human_size

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call


@pytest.fixture
def tree(root: Path) -> Path:
    for folder in ("src/deep/deeper/deepest", "node_modules/x", ".git", "build"):
        (root / folder).mkdir(parents=True)
    for file, size in (("b.txt", 1229), ("a.txt", 5), ("src/main.py", 10), ("node_modules/x/y.js", 1)):
        (root / file).write_bytes(b"x" * size)
    (root / "src/deep/deeper/deepest/end").touch()
    return root


@pytest.mark.usefixtures("tree")
async def test_folders_come_first_then_by_name(call: Call) -> None:
    assert msgspec.to_builtins(await call("list_dir")) == {
        "path": ".",
        "entries": [".git/", "build/", "node_modules/", "src/", "a.txt (5B)", "b.txt (1.2KB)"],
        "count": 6,
        "truncated": False,
    }


@pytest.mark.usefixtures("tree")
async def test_recursive_listing_enters_three_levels_and_no_generated_folders(call: Call) -> None:
    result = await call("list_dir", recursive=True)
    assert "src/deep/deeper/deepest/" in result.entries
    assert "src/main.py (10B)" in result.entries
    assert "src/deep/deeper/deepest/end (0B)" not in result.entries
    assert "node_modules/" in result.entries
    assert not [entry for entry in result.entries if entry.startswith("node_modules/x")]


@pytest.mark.parametrize(
    ("depth", "deepest"), [(1, "src/deep/"), ("2", "src/deep/deeper/"), (None, "src/deep/deeper/deepest/")]
)
@pytest.mark.usefixtures("tree")
async def test_max_depth_limits_a_recursive_listing(call: Call, depth: object, deepest: str) -> None:
    entries = (await call("list_dir", recursive=True, max_depth=depth)).entries
    assert max((entry for entry in entries if entry.startswith("src/deep")), key=len) == deepest


@pytest.mark.usefixtures("tree")
async def test_max_depth_of_zero_means_no_limit(call: Call) -> None:
    assert "src/deep/deeper/deepest/end (0B)" in (await call("list_dir", recursive=True, max_depth=0)).entries


@pytest.mark.usefixtures("tree")
async def test_folder_that_path_names_is_entered(call: Call) -> None:
    assert (await call("list_dir", path="node_modules", recursive=True)).entries == ["x/", "x/y.js (1B)"]


async def test_nearest_500_entries_are_listed(call: Call, root: Path) -> None:
    (root / "a").mkdir()
    for number in range(490):
        (root / "a" / f"{number:03}").touch()
    for number in range(20):
        (root / f"top{number}").touch()
    result = await call("list_dir", recursive=True)
    assert (result.count, len(result.entries), result.truncated) == (500, 500, True)
    assert "top19 (0B)" in result.entries
    (root / "top0").unlink()
    for number in range(10):
        (root / "a" / f"{number:03}").unlink()
    result = await call("list_dir", recursive=True)
    assert (result.count, result.truncated) == (500, False)


async def test_links_are_listed_and_not_entered(call: Call, root: Path) -> None:
    (root / "out").symlink_to("/etc")
    (root / "circle").symlink_to(".")
    assert (await call("list_dir", recursive=True)).entries == ["circle (1B)", "out (4B)"]


async def test_names_that_are_not_utf8_are_shown_replaced(call: Call, root: Path) -> None:
    (root / os.fsdecode(b"caf\xe9")).touch()
    result = await call("list_dir")
    assert result.entries == ["caf\ufffd (0B)"]
    assert msgspec.json.encode(result)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none", "no such file"),
        ("file", "a part of the path is not a directory"),
        ("..", "it is outside the workspace"),
    ],
)
async def test_path_that_cannot_be_listed_is_an_error(call: Call, root: Path, path: str, message: str) -> None:
    (root / "file").touch()
    with pytest.raises(ToolError, match=rf"^cannot list \S+: {message}"):
        await call("list_dir", path=path)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1.0KB"),
        (1229, "1.2KB"),
        (3 << 20, "3.0MB"),
        (5 << 30, "5.0GB"),
        (9 << 40, "9216.0GB"),
    ],
)
def test_human_size_has_a_unit(size: int, message: str) -> None:
    assert human_size(size) == message
