"""Results that are cut between lines."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioworker.worker.tools.cut import cut_middle, first_lines, fits

GAP = re.compile(r"\n\[(\d+) (lines?|bytes of a line) left out; see it there\]\n")


def test_head_and_tail_are_whole_lines_around_the_number_of_lines_left_out() -> None:
    lines = [f"line {number} of the output" for number in range(1000)]
    cut = cut_middle("\n".join(lines), 2000, "see it there")
    head, number, unit, tail = GAP.split(cut)
    assert unit == "lines"
    shown = [*head.split("\n"), *tail.split("\n")]
    assert shown == lines[: len(head.split("\n"))] + lines[-len(tail.split("\n")) :]
    assert len(shown) + int(number) == len(lines)
    assert 1600 < len(cut) <= 2000
    assert abs(len(head) - len(tail)) < 100


def test_line_longer_than_the_limit_is_cut_within() -> None:
    head, number, unit, tail = GAP.split(cut_middle("ä" * 10_000, 1001, "see it there"))
    assert unit == "bytes of a line"
    assert head.endswith("ä...")
    assert tail.startswith("...ä")
    assert len((head + tail).encode()) - len("......") + int(number) == 20_000


def test_short_lines_around_a_long_one_are_shown_with_its_ends() -> None:
    cut = cut_middle("first\n" + "x" * 10_000 + "\n[exit code 1]", 600, "")
    assert cut.startswith("first\nxxx")
    assert cut.endswith("xxx\n[exit code 1]")


@given(st.text(), st.integers(60, 400))
def test_cut_text_has_at_most_the_limit(text: str, limit: int) -> None:
    long = text * 20
    if not fits(long, limit):
        cut = cut_middle(long, limit, "see")
        assert len(cut.encode("utf-8", "replace")) <= limit
        assert "left out; see]" in cut


@pytest.mark.parametrize(("text", "expected"), [("a" * 8, True), ("a" * 9, False), ("ä" * 4, True), ("ä" * 5, False)])
def test_fits_counts_bytes(text: str, expected: bool) -> None:
    assert fits(text, 8) is expected


def test_first_lines_count_their_newlines() -> None:
    assert first_lines(["abc", "äö", "x"], 9) == ["abc", "äö"]
    assert first_lines(["abc", "äö", "x"], 8) == ["abc"]
