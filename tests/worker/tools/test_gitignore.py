"""What git ignores is listed, and neither entered nor searched, unless a path names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.tooling import entries, remarks
from trioworker.worker.tools.gitignore import MAX_RULES, MAX_RULES_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call


def write(root: Path, **files: str) -> None:
    """Write files; `__` in a name is a slash, and `_dot_` a dot."""
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


async def grepped(call: Call, **arguments: str) -> list[str]:
    return entries(await call("grep", pattern="word", **arguments))


async def test_match_in_the_source_is_shown_beside_600_in_an_ignored_folder(call: Call, root: Path) -> None:
    write(root, _dot_gitignore="/build/\n", src__main="the word\n")
    (root / "build").mkdir()
    for number in range(600):
        (root / "build" / f"{number}.txt").write_text("word\n")
    result = await call("grep", pattern="word", mode="content")
    assert entries(result) == ["src/main:1:the word"]
    skipped, total = remarks(result)
    assert skipped.endswith(": build")
    assert total == "1 matching line"


@pytest.mark.parametrize(
    ("rules", "files"),
    [
        ("", ["a.log", "b.txt", "sub/a.log", "sub/deep/c.txt"]),
        ("*.log", ["b.txt", "sub/deep/c.txt"]),
        ("/*.log", ["b.txt", "sub/a.log", "sub/deep/c.txt"]),
        ("*.log\n!sub/a.log", ["b.txt", "sub/a.log", "sub/deep/c.txt"]),
        ("sub/", ["a.log", "b.txt"]),
        ("sub/\n!sub/a.log", ["a.log", "b.txt"]),
        ("sub/*\n!sub/a.log", ["a.log", "b.txt", "sub/a.log"]),
        ("deep", ["a.log", "b.txt", "sub/a.log"]),
        ("# *.log\n\nsub/**/c.*\r\n", ["a.log", "b.txt", "sub/a.log"]),
        ("[z-a]\n\\\n*.txt", ["a.log", "sub/a.log"]),
    ],
)
async def test_rules_apply_to_files_and_folders(call: Call, root: Path, rules: str, files: list[str]) -> None:
    write(root, a_dot_log="word", b_dot_txt="word", sub__a_dot_log="word", sub__deep__c_dot_txt="word")
    (root / ".gitignore").write_bytes(rules.encode())
    assert await grepped(call) == files
    assert sorted(entries(await call("glob", pattern="*.*"))) == [".gitignore", *files]


async def test_nested_rules_override_those_above(call: Call, root: Path) -> None:
    write(root, _dot_gitignore="*.log\n", sub___dot_gitignore="!keep.log\n/only\n")
    write(root, keep_dot_log="word", sub__keep_dot_log="word", sub__other_dot_log="word", sub__only="word", only="word")
    assert await grepped(call) == ["only", "sub/keep.log"]


async def test_rules_above_the_start_apply(call: Call, root: Path) -> None:
    write(root, _dot_gitignore="*.log\n/a/b/c\n", a___dot_gitignore="tmp/\n")
    write(root, a__b__x_dot_log="word", a__b__tmp__x="word", a__b__c__x="word", a__b__kept="word")
    assert await grepped(call, path="a/b") == ["a/b/kept"]
    assert await grepped(call, path="./a/../a/b") == ["a/b/kept"]


async def test_ignored_folder_or_file_that_path_names_is_searched(call: Call, root: Path) -> None:
    write(root, _dot_gitignore="build/\n*.log\n", build__sub__x="word", build__y="word", a_dot_log="word")
    write(root, build___dot_gitignore="y")
    assert await grepped(call) == []
    assert await grepped(call, path="build") == ["build/sub/x"]
    assert await grepped(call, path="build/sub") == ["build/sub/x"]
    assert await grepped(call, path="a.log") == ["a.log"]
    assert entries(await call("glob", pattern="*", path="build/sub")) == ["build/sub/x"]


async def test_result_without_matches_says_what_was_skipped(call: Call, root: Path) -> None:
    write(root, _dot_gitignore="*.log\n/b?\n", b1__x="word", b2__x="word", b3__x="word", b4__x="word", b5__x="word")
    write(root, a_dot_log="word", nul="\0")
    folders = "folders not entered, because git ignores them or a program made them"
    files = "files not searched, because git ignores them"
    result = await call("grep", pattern="word")
    assert entries(result) == []
    assert remarks(result)[:-1] == [
        f"{files}: a.log",
        f"{folders}: b1, b2, b3 and 2 more",
        "files not searched, because they are binary: nul",
    ]
    result = await call("glob", pattern="*.log")
    assert entries(result) == []
    assert remarks(result)[:-1] == [f"{files}: a.log", f"{folders}: b1, b2, b3 and 2 more"]
    # Files that the glob leaves out anyway are not reported.
    assert remarks(await call("glob", pattern="*.py"))[:-1] == [f"{folders}: b1, b2, b3 and 2 more"]


async def test_ignored_folder_is_listed_and_not_entered(call: Call, root: Path) -> None:
    write(root, _dot_gitignore="build/\n*.log\n", build__x="", a_dot_log="", src__x="")
    shown = entries(await call("list_dir", recursive=True))
    assert shown == ["build/", "src/", ".gitignore (13B)", "a.log (0B)", "src/x (0B)"]
    assert entries(await call("list_dir", path="build", recursive=True)) == ["x (0B)"]


async def test_unreadable_rules_are_ignored(call: Call, root: Path) -> None:
    write(root, file="word", sub__file="word")
    (root / ".gitignore").symlink_to("/etc/passwd")
    (root / "sub" / ".gitignore").mkdir()
    assert await grepped(call) == ["file", "sub/file"]
    (root / ".gitignore").unlink()
    (root / ".gitignore").write_bytes(b"\xff\xfe\nfile\n")
    assert await grepped(call) == []


async def test_rules_that_would_backtrack_take_linear_time(call: Call, root: Path) -> None:
    (root / ".gitignore").write_text("*a" * 60 + "b\n")
    (root / ("a" * 250)).write_text("word")
    assert await grepped(call) == ["a" * 250]


async def test_rules_that_are_too_large_together_are_passed_over(call: Call, root: Path) -> None:
    (root / ".gitignore").write_text("".join(f"{'*a' * 500}{number}\n" for number in range(50)) + "file\n")
    (root / "file").write_text("word")
    assert await grepped(call) == ["file"]
    assert entries(await call("glob", pattern="file")) == ["file"]
    assert await call("list_dir", recursive=True) == ".gitignore (49.0KB)\nfile (4B)"


async def test_rule_that_the_limit_would_cut_short_is_left_out(call: Call, root: Path) -> None:
    (root / ".gitignore").write_text("#" * (MAX_RULES_BYTES - 2) + "\n*.log\n")
    (root / "file").write_text("word")
    assert await grepped(call) == ["file"]


async def test_only_the_first_rules_of_very_many_count(call: Call, root: Path) -> None:
    (root / ".gitignore").write_text("first\n" + "#\n" * MAX_RULES + "last\n")
    (root / "first").write_text("word")
    (root / "last").write_text("word")
    assert await grepped(call) == ["last"]


async def test_rules_and_the_path_searched_may_be_in_different_normal_forms(call: Call, root: Path) -> None:
    composed, decomposed = "\u00e9", "e\u0301"
    (root / decomposed).mkdir()
    (root / decomposed / "log").write_text("word")
    for rule in (composed, decomposed):
        (root / ".gitignore").write_text(f"{rule}/log\n")
        assert await grepped(call) == []
        assert await grepped(call, path=composed) == []
        assert await grepped(call, path=decomposed) == []
