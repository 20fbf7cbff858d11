from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING, Literal

import pytest
import trio

from support.tooling import entries, remarks
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
async def test_pattern_matches_paths(call: Call, pattern: str, files: list[str]) -> None:
    result = await call("glob", pattern=pattern)
    assert entries(result) == files
    assert remarks(result)[-1] == (
        "no file matches" if not files else "1 file" if len(files) == 1 else f"{len(files)} files"
    )


async def test_path_limits_the_search_to_a_folder(call: Call, root: Path) -> None:
    assert entries(await call("glob", pattern="*.py", path="src/deep")) == ["src/deep/c.py", "src/deep/[x].py"]
    assert entries(await call("glob", pattern=f"{root}/src/*.py")) == ["src/a.py"]
    assert entries(await call("glob", pattern=f"{root}/src/*.py", path="src")) == ["src/a.py"]
    assert entries(await call("glob", pattern="*.py", path="node_modules")) == ["node_modules/m.py"]


async def test_result_has_the_newest_200_files_and_the_number_of_all(call: Call, root: Path) -> None:
    (root / "many").mkdir()
    for age in range(201):
        (root / "many" / f"{age}").touch()
        os.utime(root / "many" / f"{age}", (1e9 - age, 1e9 - age))
    result = await call("glob", pattern="many/*")
    assert (entries(result)[0], entries(result)[-1]) == ("many/0", "many/199")
    assert remarks(result)[-1] == "201 files, of which the newest 200 are shown"


async def test_pattern_with_many_stars_takes_linear_time(call: Call, root: Path) -> None:
    (root / ("a" * 200)).touch()
    with trio.fail_after(5):
        assert entries(await call("glob", pattern="*a" * 50 + "b")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pattern": "[a"}, "a bracket is not closed"),
        ({"pattern": "{a"}, "a brace is not closed"),
        ({"pattern": "[z-a]"}, "invalid character class range"),
        ({"pattern": "../*"}, "leave out '..', and say where to look by path"),
        ({"pattern": "/etc/*"}, "it is outside the folder that is searched"),
        ({"pattern": "*", "path": "none"}, "cannot search none: no such file"),
        ({"pattern": "*", "path": "/etc"}, "cannot search /etc: it is outside the workspace"),
    ],
)
async def test_wrong_arguments_are_reported(call: Call, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ToolError, match=message):
        await call("glob", **arguments)


async def test_names_that_are_not_utf8_are_found(call: Call, root: Path) -> None:
    (root / os.fsdecode(b"caf\xe9.txt")).touch()
    assert entries(await call("glob", pattern="*.txt")) == ["caf\ufffd.txt"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("pattern", ["caf\u00e9/r?sum\u00e9.{txt,md}", "cafe\u0301/r?sume\u0301.*"])
async def test_names_match_in_either_normal_form(
    call: Call, root: Path, form: Literal["NFC", "NFD"], pattern: str
) -> None:
    name = unicodedata.normalize(form, "caf\u00e9/r\u00e9sum\u00e9.md")
    (root / name).parent.mkdir()
    (root / name).write_text("found")
    assert entries(await call("glob", pattern=pattern)) == [name]
    assert entries(await call("grep", pattern="found", glob=pattern)) == [name]
