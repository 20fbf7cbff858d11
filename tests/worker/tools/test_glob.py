from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from trioworker.errors import ToolError

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call

FILES = [
    "top.py",
    "src/a.py",
    "src/b.js",
    "src/deep/c.py",
    "src/deep/[x].py",
    ".github/ci.yml",
    "docs/ä b.md",
    "node_modules/m.py",
]


@pytest.fixture(autouse=True)
def tree(root: Path) -> None:
    for age, name in enumerate(FILES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
        os.utime(root / name, (1e9 - age, 1e9 - age))


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("*.py", ["top.py", "src/a.py", "src/deep/c.py", "src/deep/[x].py"]),
        ("./*.py", ["top.py"]),
        ("**/*.py", ["top.py", "src/a.py", "src/deep/c.py", "src/deep/[x].py"]),
        ("src/*.py", ["src/a.py"]),
        ("src/**", ["src/a.py", "src/b.js", "src/deep/c.py", "src/deep/[x].py"]),
        ("src/**/c.py", ["src/deep/c.py"]),
        ("src/?.{py,js}", ["src/a.py", "src/b.js"]),
        ("src/[!a].*", ["src/b.js"]),
        ("[a-b].*", ["src/a.py", "src/b.js"]),
        (r"\[x].py", ["src/deep/[x].py"]),
        ("[[]x].py", ["src/deep/[x].py"]),
        ("*.yml", [".github/ci.yml"]),
        ("docs/? b.md", ["docs/ä b.md"]),
        ("a.py,", []),
        ("*.rs", []),
        ("", []),
    ],
)
async def test_patterns(call: Call, pattern: str, files: list[str]) -> None:
    result = await call("glob", pattern=pattern)
    assert msgspec.to_builtins(result) == {"files": files, "count": len(files), "truncated": False}


async def test_a_folder_to_look_in(call: Call, root: Path) -> None:
    assert (await call("glob", pattern="*.py", path="src/deep")).files == ["src/deep/c.py", "src/deep/[x].py"]
    assert (await call("glob", pattern=f"{root}/src/*.py")).files == ["src/a.py"]
    assert (await call("glob", pattern=f"{root}/src/*.py", path="src")).files == ["src/a.py"]
    assert (await call("glob", pattern="*.py", path="node_modules")).files == ["node_modules/m.py"]


async def test_the_newest_200_are_told(call: Call, root: Path) -> None:
    (root / "many").mkdir()
    for age in range(201):
        (root / "many" / f"{age}").touch()
        os.utime(root / "many" / f"{age}", (1e9 - age, 1e9 - age))
    result = await call("glob", pattern="many/*")
    assert (result.files[0], result.files[-1]) == ("many/0", "many/199")
    assert (result.count, result.truncated) == (200, True)


async def test_a_pattern_that_would_backtrack_for_ever_does_not(call: Call, root: Path) -> None:
    (root / ("a" * 200)).touch()
    with trio.fail_after(5):
        assert (await call("glob", pattern="*a" * 50 + "b")).files == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"pattern": "[a"}, "a bracket is not closed"),
        ({"pattern": "{a"}, "a brace is not closed"),
        ({"pattern": "[z-a]"}, "invalid character class range"),
        ({"pattern": "../*"}, "leave out '..', and say where to look by path"),
        ({"pattern": "/etc/*"}, "it lies outside of where the search begins"),
        ({"pattern": "*", "path": "none"}, "cannot search none: no such file"),
        ({"pattern": "*", "path": "/etc"}, "cannot search /etc: it lies outside the workspace"),
    ],
)
async def test_what_is_wrong_is_told(call: Call, arguments: dict[str, str], told: str) -> None:
    with pytest.raises(ToolError, match=told):
        await call("glob", **arguments)


async def test_names_that_are_not_utf8_are_found(call: Call, root: Path) -> None:
    (root / os.fsdecode(b"caf\xe9.txt")).touch()
    assert (await call("glob", pattern="*.txt")).files == ["caf\ufffd.txt"]
