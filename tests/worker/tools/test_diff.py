"""The diff of an edit, as people see it."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize("label", ["RSA PRIVATE KEY", "PGP PRIVATE KEY BLOCK"])
def test_no_line_of_a_private_key_is_shown(label: str) -> None:
    key = [f"-----BEGIN {label}-----", *["MIIE" + "Qk9" * 20] * 26, f"-----END {label}-----"]
    before = ["a", "b", *key, "c", "d"]
    for changed_line in range(len(before)):
        after = [*before[:changed_line], "changed", *before[changed_line + 1 :]]
        diff = unified_diff("f", "\n".join(before), "\n".join(after))
        assert "Qk9" not in diff
        if before[changed_line] not in key:
            assert f"-{before[changed_line]}\n+changed" in diff
    assert unified_diff("f", "\n".join(before), "\n".join([*before[:-1], "e"])).endswith("\n c\n-d\n+e")
    assert "Qk9" not in unified_diff("f", "\n".join(before), "\n".join(before[:20]))
