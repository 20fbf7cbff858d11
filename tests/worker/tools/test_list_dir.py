from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.tooling import entries, remarks
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
    assert await call("list_dir") == ".git/\nbuild/\nnode_modules/\nsrc/\na.txt (5B)\nb.txt (1.2KB)"


async def test_empty_folder_is_not_an_empty_result(call: Call) -> None:
    assert await call("list_dir") == "[the folder is empty]"


@pytest.mark.usefixtures("tree")
async def test_recursive_listing_enters_three_levels_and_no_generated_folders(call: Call) -> None:
    result = await call("list_dir", recursive=True)
    assert "src/deep/deeper/deepest/" in entries(result)
    assert "src/main.py (10B)" in entries(result)
    assert "src/deep/deeper/deepest/end (0B)" not in entries(result)
    assert "node_modules/" in entries(result)
    assert not [entry for entry in entries(result) if entry.startswith("node_modules/x")]
    assert remarks(result) == [
        "folders not entered, because git ignores them or a program made them: node_modules",
        "folders below level 3 are not listed; to see more, set path or max_depth",
    ]


@pytest.mark.parametrize(
    ("depth", "deepest"), [(1, "src/deep/"), ("2", "src/deep/deeper/"), (None, "src/deep/deeper/deepest/")]
)
@pytest.mark.usefixtures("tree")
async def test_max_depth_limits_a_recursive_listing(call: Call, depth: object, deepest: str) -> None:
    shown = entries(await call("list_dir", recursive=True, max_depth=depth))
    assert max((entry for entry in shown if entry.startswith("src/deep")), key=len) == deepest


@pytest.mark.usefixtures("tree")
async def test_max_depth_of_zero_means_no_limit(call: Call) -> None:
    assert "src/deep/deeper/deepest/end (0B)" in entries(await call("list_dir", recursive=True, max_depth=0))


@pytest.mark.usefixtures("tree")
async def test_folder_that_path_names_is_entered(call: Call) -> None:
    assert entries(await call("list_dir", path="node_modules", recursive=True)) == ["x/", "x/y.js (1B)"]


async def test_nearest_500_entries_are_listed(call: Call, root: Path) -> None:
    (root / "a").mkdir()
    for number in range(490):
        (root / "a" / f"{number:03}").touch()
    for number in range(20):
        (root / f"top{number}").touch()
    result = await call("list_dir", recursive=True)
    assert len(entries(result)) == 500
    assert remarks(result) == ["only 500 entries are shown; to see others, list a subfolder or use glob"]
    assert "top19 (0B)" in entries(result)
    (root / "top0").unlink()
    for number in range(10):
        (root / "a" / f"{number:03}").unlink()
    result = await call("list_dir", recursive=True)
    assert (len(entries(result)), remarks(result)) == (500, [])


async def test_links_are_listed_and_not_entered(call: Call, root: Path) -> None:
    (root / "out").symlink_to("/etc")
    (root / "circle").symlink_to(".")
    assert entries(await call("list_dir", recursive=True)) == ["circle (1B)", "out (4B)"]


async def test_names_that_are_not_utf8_are_shown_replaced(call: Call, root: Path) -> None:
    (root / os.fsdecode(b"caf\xe9")).touch()
    result = await call("list_dir")
    assert entries(result) == ["caf\ufffd (0B)"]


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
