"""Text on a terminal."""

from __future__ import annotations

import pytest

from trioworker.observability.terminal_text import columns_of, duration, first_line, fit, last_line, one_line, pad


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("abc", 3),
        ("漢字", 4),
        ("e\u0301", 1),
        ("a\u200bb", 2),
        ("\u1112\u1161\u11ab", 2),
        ("a\xadb", 3),
        ("👍", 2),
        ("", 0),
    ],
)
def test_width_is_counted_in_columns(text: str, width: int) -> None:
    assert columns_of(text) == width


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("漢字", 4, "漢字"),
        ("漢字漢", 4, "漢…"),
        ("漢字", 1, "…"),
        ("abc", 0, ""),
    ],
)
def test_long_text_is_shortened_to_its_columns(text: str, width: int, shown: str) -> None:
    assert fit(text, width) == shown


def test_short_text_is_padded_to_its_columns() -> None:
    assert pad("漢", 4) == "漢  "
    assert columns_of(pad("漢字漢字", 4)) == 4


def test_first_line_that_is_not_blank_is_shown_with_its_control_characters_escaped() -> None:
    assert first_line("\n  \n a\x1b[2Jb\u202e \nc") == r"a\x1b[2Jb\u202e"
    assert first_line(" \n") == ""


def test_lines_are_shown_on_one_line_that_fits() -> None:
    assert one_line(" a\nb\x1b ", 8) == r"a\nb\x1b"
    assert one_line("漢字漢字", 5) == "漢字…"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3900, "1 h 05 min"),
    ],
)
def test_duration_has_a_fitting_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("text", "expected"), [("a\n  b \n\n", "b"), ("a", "a"), (" \n", ""), ("", "")])
def test_last_line_is_not_blank(text: str, expected: str) -> None:
    assert last_line(text) == expected
