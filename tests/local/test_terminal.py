"""Text from tools and models is made safe for a terminal."""

from __future__ import annotations

import pytest

from trioworker.local.terminal import one_line, printable

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x1b]52;c;cm0=\x07a\x9b31mb\x1bPq\x1b\\c\x07\x08\x7f\r\u202ed\ud800"
"""Clears the screen, sets the title, writes to the clipboard, sets colours, and more; the visible text is `abcd`."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (HOSTILE, "abcd"),
        ("tab\tline\nend", "tab\tline\nend"),
        ("grüße 日本 😀", "grüße 日本 😀"),
    ],
)
def test_printable_removes_control_sequences_only(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_an_unterminated_sequence_does_not_swallow_the_text() -> None:
    assert printable("a\x1b]0;no end\nb") != ""


def test_one_line_joins_lines_and_truncates() -> None:
    assert one_line("a\n b\tc" + "d" * 50, 10) == "a b cdddd…"
