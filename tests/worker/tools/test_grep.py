from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from trioworker.errors import InvalidParametersError, ToolError

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call


@pytest.fixture(autouse=True)
def tree(root: Path) -> None:
    (root / "src").mkdir()
    (root / "node_modules").mkdir()
    (root / "a.py").write_text("import os\nfoo = 1\n\nbar = foo\nend\n")
    (root / "src" / "b.js").write_text("var foo\n")
    (root / "node_modules" / "c.js").write_text("foo")
    (root / "binary").write_bytes(b"foo\0foo")
    (root / "link").symlink_to("a.py")


async def test_paths_are_the_default(call: Call) -> None:
    result = await call("grep", pattern="foo")
    assert msgspec.to_builtins(result) == {"matches": ["a.py", "src/b.js"], "truncated": False}


@pytest.mark.parametrize(
    ("arguments", "matches"),
    [
        ({"mode": "content"}, ["a.py:2:foo = 1", "a.py:4:bar = foo", "src/b.js:1:var foo"]),
        ({"mode": "count"}, ["a.py:2", "src/b.js:1"]),
        ({"mode": "count", "glob": "*.js"}, ["src/b.js:1"]),
        ({"mode": "count", "glob": "src/**"}, ["src/b.js:1"]),
        ({"mode": "count", "path": "src"}, ["src/b.js:1"]),
        ({"mode": "count", "path": "a.py"}, ["a.py:2"]),
        ({"mode": "count", "path": "link"}, ["link:2"]),
        ({"mode": "count", "path": "node_modules"}, ["node_modules/c.js:1"]),
        ({"mode": None, "context": None, "path": None, "glob": None}, ["a.py", "src/b.js"]),
    ],
)
async def test_modes_and_places(call: Call, arguments: dict[str, object], matches: list[str]) -> None:
    assert (await call("grep", pattern="foo", **arguments)).matches == matches


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("^foo", [2]),
        ("foo$", [4]),
        ("(?i)FOO", [2, 4]),
        ("^$", [3]),
        ("", [1, 2, 3, 4, 5]),
        (r"\bo", [1]),
        ("x*", [1, 2, 3, 4, 5]),
    ],
)
async def test_patterns_are_for_lines(call: Call, pattern: str, numbers: list[int]) -> None:
    matches = (await call("grep", pattern=pattern, mode="content", path="a.py")).matches
    assert [int(match.split(":")[1]) for match in matches] == numbers


async def test_no_match_spans_lines(call: Call, root: Path) -> None:
    (root / "file").write_text("one\ntwo\n")
    assert (await call("grep", pattern=r"one\stwo", path="file")).matches == []


async def test_context_is_shown_once_and_groups_are_parted(call: Call, root: Path) -> None:
    (root / "file").write_text("1\nx2\n3\nx4\n5\n6\n7\n8\nx9\n")
    assert (await call("grep", pattern="x", path="file", mode="content", context="1")).matches == [
        "file-1-1",
        "file:2:x2",
        "file-3-3",
        "file:4:x4",
        "file-5-5",
        "--",
        "file-8-8",
        "file:9:x9",
    ]


@pytest.mark.parametrize("data", ["Grüße\r\n".encode(), "Grüße\n".encode("utf-16"), "Grüße\n".encode("latin-1")])
async def test_encodings_and_line_ends_do_not_hide_a_line(call: Call, root: Path, data: bytes) -> None:
    (root / "file").write_bytes(data)
    assert (await call("grep", pattern="rüße$", path="file", mode="content")).matches == ["file:1:Grüße"]


async def test_at_most_250_entries(call: Call, root: Path) -> None:
    (root / "file").write_text("x\n" * 250)
    result = await call("grep", pattern="x", path="file", mode="content")
    assert (len(result.matches), result.truncated) == (250, False)
    (root / "file").write_text("x\n" * 251)
    result = await call("grep", pattern="x", path="file", mode="content")
    assert (len(result.matches), result.truncated) == (250, True)


async def test_at_most_64_kib_and_no_endless_line(call: Call, root: Path) -> None:
    (root / "file").write_text(("x" * 5000 + "\n") * 100)
    result = await call("grep", pattern="x", path="file", mode="content")
    assert result.truncated
    assert result.matches[0] == "file:1:" + "x" * 1000 + "..."
    assert 60_000 < sum(map(len, result.matches)) <= 64 * 1024


async def test_a_pattern_that_would_backtrack_for_ever_does_not(call: Call, root: Path) -> None:
    (root / "file").write_text("a" * 100_000)
    with trio.fail_after(5):
        assert (await call("grep", pattern="(a+)+$b", path="file")).matches == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"pattern": "("}, r"pattern '\(': missing \): \(; RE2 syntax, without look-around"),
        ({"pattern": "(?=x)"}, "invalid perl operator"),
        ({"pattern": "x", "path": "none"}, "cannot search none: no such file"),
        ({"pattern": "x", "path": ".."}, "cannot search ..: it lies outside the workspace"),
        ({"pattern": "x", "path": "binary"}, "cannot read binary: it is a binary file"),
        ({"pattern": "x", "path": "a.py/x"}, "cannot read a.py/x: a part of the path is not a directory"),
        ({"pattern": "x", "glob": "[a"}, "a bracket is not closed"),
        ({"pattern": "\ud800"}, "pattern"),
    ],
)
async def test_what_is_wrong_is_told(call: Call, arguments: dict[str, str], told: str) -> None:
    with pytest.raises(ToolError, match=told):
        await call("grep", **arguments)


async def test_an_unknown_mode_is_told(call: Call) -> None:
    with pytest.raises(InvalidParametersError, match="mode: Invalid enum value 'all'"):
        await call("grep", pattern="x", mode="all")


async def test_fifos_and_links_that_lead_out_are_passed_over(call: Call, root: Path) -> None:
    os.mkfifo(root / "fifo")
    (root / "out").symlink_to("/etc")
    with trio.fail_after(5):
        assert (await call("grep", pattern="root:")).matches == []


async def test_a_cancelled_search_is_given_up_at_once(call: Call, root: Path) -> None:
    for number in range(2000):
        (root / "src" / f"{number}").write_text("x" * 1000)
    with trio.move_on_after(0) as scope:
        await call("grep", pattern="nothing")
    assert scope.cancelled_caught
