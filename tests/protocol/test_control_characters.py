from __future__ import annotations

import pytest

from trioworker.protocol.control_characters import escape_line, escape_text

CASES = [
    pytest.param("a\x1b[31mb", r"a\x1b[31mb", id="ansi"),
    pytest.param("a\x9b31mb", r"a\x9b31mb", id="c1"),
    pytest.param("a\rb", r"a\rb", id="carriage-return"),
    pytest.param("a\u202eb", r"a\u202eb", id="bidirectional-override"),
    pytest.param("a\u2028b", r"a\u2028b", id="line-separator"),
    pytest.param("a\ud800b", r"a\ud800b", id="lone-surrogate"),
    pytest.param("a\x00b", r"a\x00b", id="nul"),
]


@pytest.mark.parametrize(("text", "shown"), CASES)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert escape_line(text) == shown
    assert escape_text(text) == shown


def test_a_line_has_no_line_breaks_and_tabs() -> None:
    assert escape_line("a\nb\tc") == r"a\nb\tc"


def test_a_text_keeps_line_feeds_and_tabs() -> None:
    assert escape_text("a\nb\tc") == "a\nb\tc"


def test_ordinary_text_is_unchanged() -> None:
    text = "Grüße, 日本語, שלום 👋 C:\\new"
    assert escape_line(text) == text
    assert escape_text(text) == text
