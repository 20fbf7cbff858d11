"""Notices in whole words."""

from __future__ import annotations

import pytest

from trioworker.local.terminal.cells import columns_of, in_whole_words


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("short", ["short"]),
        ("one two three four five six", ["one two three four", "    five six"]),
        ("    日本語 the parser please all", ["    日本語 the parser", "    please all"]),
        ("see http://127.0.0.1:8080/secret for more", ["see", "    http://127.0.0.1:8080/secret", "    for more"]),
        ("two  spaces\n    next", ["two  spaces", "    next"]),
    ],
)
def test_notices_break_between_words_by_their_columns(text: str, lines: list[str]) -> None:
    assert in_whole_words(text, 21).split("\n") == lines
    assert all(columns_of(line) <= 21 for line in lines if "http" not in line)
