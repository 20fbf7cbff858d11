from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
import trio

from support.tooling import entries, remarks
from trioworker.errors import InvalidParametersError, ToolError
from trioworker.worker.tools.grep import Grep, GrepParameters

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call
    from trioworker.worker.tools.base import ToolContext


@pytest.fixture(autouse=True)
def tree(root: Path) -> None:
    (root / "src").mkdir()
    (root / "node_modules").mkdir()
    (root / "a.py").write_text("import os\nfoo = 1\n\nbar = foo\nend\n")
    (root / "src" / "b.js").write_text("var foo\n")
    (root / "node_modules" / "c.js").write_text("foo")
    (root / "binary").write_bytes(b"foo\0foo")
    (root / "link").symlink_to("a.py")


async def test_default_mode_gives_paths_and_reports_what_was_skipped(call: Call) -> None:
    assert (await call("grep", pattern="foo")).split("\n") == [
        "a.py",
        "src/b.js",
        "[files not searched, because they are binary: binary]",
        "[folders not entered, because git ignores them or a program made them: node_modules]",
        "[2 files]",
    ]


async def test_only_the_number_of_matches_follows_when_nothing_was_skipped(call: Call) -> None:
    assert await call("grep", pattern="foo", path="src") == "src/b.js\n[1 file]"


async def test_search_without_matches_says_how_many_files_it_searched(call: Call) -> None:
    assert remarks(await call("grep", pattern="nowhere", path="src")) == ["no matches in 1 file searched"]
    assert remarks(await call("grep", pattern="foo", glob="*.none", path="src")) == [
        "no matches in 0 files searched; no searchable file matches glob '*.none'"
    ]


async def test_only_files_that_the_glob_matches_are_reported_as_skipped(call: Call, root: Path) -> None:
    (root / "src/__pycache__").mkdir()
    (root / ".gitignore").write_text("*.log\n")
    (root / "x.log").touch()
    assert await call("grep", pattern="foo", glob="a.*") == (
        "a.py\n[folders not entered, because git ignores them or a program made them: node_modules]\n[1 file]"
    )


@pytest.mark.parametrize(
    ("arguments", "matches"),
    [
        ({"mode": "content"}, ["a.py:2:foo = 1", "a.py:4:bar = foo", "src/b.js:1:var foo"]),
        ({"mode": "count"}, ["a.py:2", "src/b.js:1"]),
        ({"mode": "count", "glob": "*.js"}, ["src/b.js:1"]),
        ({"mode": "count", "glob": "src/**"}, ["src/b.js:1"]),
        ({"mode": "count", "glob": "!*.{py,rst}"}, ["src/b.js:1"]),
        ({"mode": "count", "glob": "!src/**"}, ["a.py:2"]),
        ({"mode": "count", "path": "src"}, ["src/b.js:1"]),
        ({"mode": "count", "path": "a.py"}, ["a.py:2"]),
        ({"mode": "count", "path": "link"}, ["link:2"]),
        ({"mode": "count", "path": "node_modules"}, ["node_modules/c.js:1"]),
        ({"mode": None, "context": None, "path": None, "glob": None}, ["a.py", "src/b.js"]),
    ],
)
async def test_mode_path_and_glob_determine_the_matches(
    call: Call, arguments: dict[str, object], matches: list[str]
) -> None:
    assert entries(await call("grep", pattern="foo", **arguments)) == matches


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("^foo", [2]),
        ("foo$", [4]),
        ("(?i)FOO", [2, 4]),
        ("^$", [3]),
        ("", [1, 2, 3, 4, 5]),
        ("$", [1, 2, 3, 4, 5]),
        (r"\bo", [1]),
        ("x*", [1, 2, 3, 4, 5]),
    ],
)
async def test_pattern_matches_within_lines(call: Call, pattern: str, numbers: list[int]) -> None:
    matches = entries(await call("grep", pattern=pattern, mode="content", path="a.py"))
    assert [int(match.split(":")[1]) for match in matches] == numbers


async def test_last_line_without_line_end_matches(call: Call, root: Path) -> None:
    (root / "file").write_text("one\ntwo")
    assert entries(await call("grep", pattern="$", path="file", mode="count")) == ["file:2"]


async def test_match_does_not_span_lines(call: Call, root: Path) -> None:
    (root / "file").write_text("one\ntwo\n")
    assert entries(await call("grep", pattern=r"one\stwo", path="file")) == []


async def test_ignore_case_matches_either_case(call: Call) -> None:
    assert entries(await call("grep", pattern="FOO", path="a.py", mode="count", ignore_case=True)) == ["a.py:2"]
    assert entries(await call("grep", pattern="FOO", path="a.py", mode="count", ignore_case=False)) == []


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [(r"one\ntwo", [1, 2]), ("two.*four", [2, 3, 4]), ("^two$", [2]), (r"e\n", [1, 3]), ("f.*$", [4])],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_multiline_match_spans_lines(call: Call, root: Path, pattern: str, numbers: list[int], end: str) -> None:
    (root / "file").write_bytes(end.join(["one", "two", "three", "four"]).encode())
    result = await call("grep", pattern=pattern, path="file", mode="content", multiline=True)
    assert [int(match.split(":")[1]) for match in entries(result)] == numbers
    assert remarks(result) == [f"{len(numbers)} matching line{'' if len(numbers) == 1 else 's'}"]


async def test_each_context_line_comes_once_and_groups_are_separated(call: Call, root: Path) -> None:
    (root / "file").write_text("1\nx2\n3\nx4\n5\n6\n7\n8\nx9\n")
    result = await call("grep", pattern="x", path="file", mode="content", context="1")
    assert entries(result) == [
        "file-1-1",
        "file:2:x2",
        "file-3-3",
        "file:4:x4",
        "file-5-5",
        "--",
        "file-8-8",
        "file:9:x9",
    ]
    assert remarks(result) == ["3 matching lines"]


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ({"before": 1}, [2, 3]),
        ({"after": 1}, [3, 4]),
        ({"before": 1, "after": 2}, [2, 3, 4, 5]),
        ({"context": 1, "before": 0}, [3, 4]),
        ({"context": 2, "after": 0}, [1, 2, 3]),
        ({"context": -1}, [3]),
    ],
)
async def test_before_and_after_override_context(
    call: Call, root: Path, arguments: dict[str, int], numbers: list[int]
) -> None:
    (root / "file").write_text("a\nb\nx\nd\ne\n")
    matches = entries(await call("grep", pattern="x", path="file", mode="content", **arguments))
    assert [int(match.replace("-", ":").split(":")[1]) for match in matches] == numbers


@pytest.mark.parametrize(
    "data",
    [
        "Grüße\r\n".encode(),
        "Grüße\n".encode("utf-8-sig"),
        "Grüße\n".encode("utf-16"),
        "Grüße\r\n".encode("utf-16-be"),
        "Grüße\n".encode("utf-32"),
        "Grüße\n".encode("latin-1"),
        "Grüße\n".encode() + "Füße\n".encode("latin-1"),
    ],
)
async def test_lines_match_in_any_encoding_and_with_any_line_end(call: Call, root: Path, data: bytes) -> None:
    (root / "file").write_bytes(data)
    assert entries(await call("grep", pattern="^Grüße$", path="file", mode="content")) == ["file:1:Grüße"]


async def test_entries_over_250_are_left_out(call: Call, root: Path) -> None:
    (root / "file").write_text("x\n" * 250)
    result = await call("grep", pattern="x", path="file", mode="content")
    assert (len(entries(result)), remarks(result)) == (250, ["250 matching lines"])
    (root / "file").write_text("x\n" * 1000)
    result = await call("grep", pattern="x", path="file", mode="content")
    assert len(entries(result)) == 250
    assert remarks(result) == ["1000 matching lines, of which the first 250 entries are shown"]


async def test_entries_over_30_kib_are_left_out(call: Call, root: Path) -> None:
    (root / "file").write_text(("x" * 5000 + "\n") * 100)
    result = await call("grep", pattern="x", path="file", mode="content")
    assert remarks(result) == ["100 matching lines, of which the first 27 entries are shown"]
    assert entries(result)[0] == "file:1:" + "x" * 1000 + "..."
    assert 26_000 < len(result) <= 30 * 1024


async def test_pattern_with_nested_repetition_takes_linear_time(call: Call, root: Path) -> None:
    (root / "file").write_text("a" * 100_000)
    with trio.fail_after(5):
        assert entries(await call("grep", pattern="(a+)+$b", path="file")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pattern": "("}, r"pattern '\(': missing \): \(; the syntax is RE2's$"),
        ({"pattern": "[z-a]"}, r"invalid character class range: z-a; the syntax is RE2's$"),
        ({"pattern": "x", "path": "none"}, "cannot search none: no such file"),
        ({"pattern": "x", "path": ".."}, "cannot search ..: it is outside the workspace"),
        ({"pattern": "x", "path": "binary"}, "cannot read binary: it is a binary file"),
        ({"pattern": "x", "path": "fifo"}, "cannot read fifo: it is not a regular file"),
        ({"pattern": "x", "path": "a.py/x"}, "cannot read a.py/x: a part of the path is not a directory"),
        ({"pattern": "x", "glob": "[a"}, "a bracket is not closed"),
        ({"pattern": "\ud800"}, "pattern"),
    ],
)
async def test_wrong_arguments_are_reported(call: Call, root: Path, arguments: dict[str, str], message: str) -> None:
    os.mkfifo(root / "fifo")
    with pytest.raises(ToolError, match=message):
        await call("grep", **arguments)


@pytest.mark.parametrize(
    ("pattern", "construct", "instead"),
    [
        ("foo(?=bar)", "look-ahead", "foo(?=bar) as foobar"),
        ("foo(?!bar)", "negative look-ahead", "grep -P"),
        ("(?<=foo)bar", "look-behind", "(?<=foo)bar as foobar"),
        ("(?<!foo)bar", "negative look-behind", "grep -P"),
        (r"(a)\1", "backreference", r"(a|b)\1 as (aa|bb)"),
        ("(?P<n>a)(?P=n)", "backreference", r"(a|b)\1 as (aa|bb)"),
        (r"(?<n>a)\k<n>", "backreference", r"(a|b)\1 as (aa|bb)"),
        ("a++", "possessive quantifier", r"to match a plus sign, escape it: \+"),
        ("a{2}+", "possessive quantifier", "write a+ for a++"),
        ("(?>a)", "atomic group", "write (?:a+) for (?>a+)"),
        ("(a)?(?(1)b|c)", "conditional", "(?:a|b)"),
        ("(?R)", "recursion", "grep -P"),
        ("a(?#b)", "comment", "leave it out"),
        ("(?|a)", "branch reset", "(?:a|b)"),
        ("(?x) a", "verbose flag", "leave out the flag"),
        (r"a\Z", r"\Z", "write $"),
        (r"\h", r"\h", r"write [ \t]"),
        (r"a\Rb", r"\R", r"write \n with multiline"),
        (r"\u1234", r"\u", r"write \x{1234}"),
        (r"a\Kb", r"\G and \K", "grep -P"),
    ],
)
async def test_unsupported_construct_is_named_with_what_to_write_instead(
    call: Call, pattern: str, construct: str, instead: str
) -> None:
    with pytest.raises(ToolError) as caught:
        await call("grep", pattern=pattern)
    assert str(caught.value).startswith(f"pattern {pattern!r}: RE2 has no {construct} (")
    assert instead in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


async def test_unknown_mode_is_reported(call: Call) -> None:
    with pytest.raises(InvalidParametersError, match="mode: Invalid enum value 'all'"):
        await call("grep", pattern="x", mode="all")


async def test_fifos_and_links_out_of_the_workspace_are_not_searched(call: Call, root: Path) -> None:
    os.mkfifo(root / "fifo")
    (root / "out").symlink_to("/etc")
    with trio.fail_after(5):
        assert entries(await call("grep", pattern="root:")) == []


async def test_cancelled_search_is_abandoned_at_once(call: Call, root: Path) -> None:
    for number in range(2000):
        (root / "src" / f"{number}").write_text("x" * 1000)
    with trio.move_on_after(0) as scope:
        await call("grep", pattern="nothing")
    assert scope.cancelled_caught


async def test_count_of_a_search_that_runs_out_of_time_is_a_minimum(context: ToolContext, root: Path) -> None:
    (root / "a.py").write_text("ab\n" * 250_000)
    parameters = GrepParameters(pattern="a(?:.*z)?", multiline=True, mode="content", path="a.py")
    result = await Grep(max_seconds=0.5).run(parameters, context)
    assert re.fullmatch(r"\[at least \d+ matching lines?\b.*\]", result.splitlines()[-1])


async def test_search_that_runs_out_of_time_returns_what_it_has(context: ToolContext) -> None:
    result = await Grep(max_seconds=0.0).run(GrepParameters(pattern="foo"), context)
    assert entries(result) == []
    assert "the search ran out of time; narrow the pattern, the path or the glob" in remarks(result)


async def test_multiline_search_whose_matches_each_read_to_the_end_runs_out_of_time(
    context: ToolContext, root: Path
) -> None:
    (root / "a.py").write_text("a\n" * 250_000)
    parameters = GrepParameters(pattern="a(?:.*z)?", multiline=True, mode="count", path="a.py")
    result = await Grep(max_seconds=0.5).run(parameters, context)
    assert "the search ran out of time; narrow the pattern, the path or the glob" in remarks(result)
