"""Errors for paths that don't exist suggest those that may be meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from trioworker.errors import ToolError
from trioworker.worker.tools.near_names import MAX_VISITED

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call

OTHER_ARGUMENTS: dict[str, dict[str, Any]] = {
    "apply_patch": {"old_string": "x", "new_string": "y"},
    "glob": {"pattern": "*"},
    "grep": {"pattern": "x"},
}


def laid_out(root: Path) -> None:
    for path in ("src/pkg/util.py", "src/pkg/parser.py", "docs/guide.md", "node_modules/guide.txt"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x\n")


@pytest.mark.parametrize("tool", ["read_file", "apply_patch", "list_dir", "glob", "grep"])
@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("src/pkg/utils.py", "src/pkg/util.py"),
        ("src/pkg/Parser.py", "src/pkg/parser.py"),
        ("source/pkg/util.py", "src/pkg/util.py"),
        ("srcs/pkg/util.py", "src/pkg/util.py"),
        ("util.py", "src/pkg/util.py"),
        ("pkg", "src/pkg"),
    ],
)
async def test_missing_path_suggests_similar_ones(call: Call, root: Path, tool: str, path: str, near: str) -> None:
    laid_out(root)
    with pytest.raises(ToolError, match=rf"{path}: no such file or directory; did you mean {near}( or .*)?\?$"):
        await call(tool, path=path, **OTHER_ARGUMENTS.get(tool, {}))


async def test_missing_command_folder_suggests_similar_ones(call: Call, root: Path) -> None:
    laid_out(root)
    with pytest.raises(ToolError, match=r"^cannot enter pkg: no such file or directory; did you mean src/pkg\?$"):
        await call("shell", command="true", workdir="pkg")


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("test/test_setutil.py", "tests/test_setutils.py"),
        ("lib/set_tools.py", "src/set_tools.py or lib/set_tool.py"),
        ("librar/set_tool.py", "lib/set_tool.py"),
    ],
)
async def test_same_name_elsewhere_precedes_similar_ones(call: Call, root: Path, path: str, near: str) -> None:
    for name in ("tests/test_setutils.py", "lib/set_tool.py", "src/set_tools.py"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    with pytest.raises(ToolError, match=rf"did you mean {near}\?$"):
        await call("read_file", path=path)


@pytest.mark.parametrize("path", ["unlike", "guide.txt", "src/unlike/more", "../util.py.bak"])
async def test_nothing_is_suggested_for_what_resembles_nothing(call: Call, root: Path, path: str) -> None:
    laid_out(root)
    with pytest.raises(ToolError) as caught:
        await call("read_file", path=path)
    assert "did you mean" not in str(caught.value)


async def test_at_most_three_paths_are_suggested(call: Call, root: Path) -> None:
    for number in range(9):
        (root / f"d{number}").mkdir()
        (root / f"d{number}/same").touch()
    with pytest.raises(ToolError, match=r"did you mean d\d/same or d\d/same or d\d/same\?$"):
        await call("read_file", path="same")


async def test_search_for_the_name_is_bounded(call: Call, root: Path) -> None:
    (root / "a").mkdir()
    for number in range(MAX_VISITED):
        (root / "a" / f"{number}").touch()
    (root / "a/b/c").mkdir(parents=True)
    (root / "a/b/c/wanted").touch()
    with pytest.raises(ToolError, match=r"no such file or directory$"):
        await call("read_file", path="wanted")
