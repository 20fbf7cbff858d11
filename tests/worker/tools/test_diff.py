"""The diff of an edit, as people see it."""

from __future__ import annotations

from trioworker.protocol.limits import DIFF_PREVIEW_BYTES
from trioworker.worker.tools.diff import unified_diff

NUMBERS = [str(number) for number in range(1, 41)]


def changed(**lines: str) -> str:
    numbers = [lines.get(f"line_{number}", number) for number in NUMBERS]
    return "\n".join(numbers)


def test_a_change_has_three_lines_of_context_and_the_lines_of_the_file() -> None:
    diff = unified_diff("a.txt", "\n".join(NUMBERS), changed(line_20="twenty"))
    assert diff == "--- a.txt\n+++ a.txt\n@@ -17,7 +17,7 @@\n 17\n 18\n 19\n-20\n+twenty\n 21\n 22\n 23"


def test_two_distant_changes_are_two_hunks() -> None:
    diff = unified_diff("a.txt", "\n".join(NUMBERS), changed(line_5="five", line_35="thirty-five"))
    assert [line for line in diff.splitlines() if line.startswith("@@")] == ["@@ -2,7 +2,7 @@", "@@ -32,7 +32,7 @@"]


def test_a_new_file_is_all_added_and_an_unchanged_one_is_empty() -> None:
    assert unified_diff("a.txt", "", "one\ntwo\n") == "--- a.txt\n+++ a.txt\n@@ -0,0 +1,2 @@\n+one\n+two"
    assert not unified_diff("a.txt", "one\n", "one\n")


def test_a_large_change_shows_all_its_lines_as_removed_and_added() -> None:
    diff = unified_diff("a.txt", "a\n" * 500, "b\n" * 600)
    assert diff.splitlines()[2:5] == ["@@ -1,500 +1,600 @@", "-a", "-a"]
    assert diff.count("\n+b") == 600


def test_a_diff_is_cut_between_lines_within_its_limit() -> None:
    diff = unified_diff("a.txt", "", "a line of some length\n" * 10_000)
    assert diff.endswith("\n+a line of some length")
    assert DIFF_PREVIEW_BYTES - len("+a line of some length") <= len(diff.encode()) <= DIFF_PREVIEW_BYTES
