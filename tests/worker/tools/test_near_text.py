"""The error for quoted text that isn't in the file shows the lines that were meant, ready to copy."""

from __future__ import annotations

import pytest

from linear_time import assert_linear
from trioworker.worker.tools.near_text import where_it_nearly_matches

CONTENT = """\
import sys

def greet(name):
\tif name == "Zoë":
\t\tprint(f"Hello, {name} \u2013 it\u2019s you")
\treturn "a\\nb" if len(name) < 3 else name

class Other:
    pass
"""


@pytest.mark.parametrize(
    ("old", "difference", "lines"),
    [
        ("3\tdef greet(name):\n4\t\tif name ==", "line numbers (they are not part of the file)", (3, 4)),
        ("     8│ class Other:\n     9│     pass", "line numbers (they are not part of the file)", (8, 9)),
        ("    8→class Other:", "line numbers (they are not part of the file)", (8, 8)),
        ("class Other:\\n    pass", "escapes such as \\n", (8, 9)),
        ('if name == \\"Zoë\\":', "escapes such as \\n", (4, 4)),
        ("if len(name) &lt; 3 else name", "escapes such as &lt;", (6, 6)),
        ('if name == "Zoe\u0308":', "quotes, dashes or other characters that look alike", (4, 4)),
        ("{name} - it's you", "quotes, dashes or other characters that look alike", (5, 5)),
        ("if name == \u201cZoë\u201d:", "quotes, dashes or other characters that look alike", (4, 4)),
        ("class\u00a0Other:", "whitespace", (8, 8)),
        ('    if name == "Zoë":\n        print(', "whitespace", (4, 5)),
        ("class Other:\n\n    pass\n", "whitespace", (8, 9)),
        ("8\tclass Other:\n9\t  pass", "line numbers (they are not part of the file) and whitespace", (8, 9)),
    ],
)
def test_lines_that_differ_only_in_form_are_shown(old: str, difference: str, lines: tuple[int, int]) -> None:
    first, last = lines
    name = f"line {first}" if first == last else f"lines {first}-{last}"
    text = "\n".join(CONTENT.split("\n")[first - 1 : last])
    expected = f"it differs in {difference}; quote {name} exactly as here:\n{text}"
    assert where_it_nearly_matches(CONTENT, old, "x") == expected


@pytest.mark.parametrize(
    ("old", "lines"),
    [
        ("class Other:\n    return 1\n", (8, 10)),
        ("def greet(first_name):", (3, 3)),
        ("import os\nimport sys\n\ndef hello():\n", (1, 4)),
    ],
)
def test_similar_lines_are_shown_when_none_match(old: str, lines: tuple[int, int]) -> None:
    answer = where_it_nearly_matches(CONTENT, old, "x")
    name = f"line {lines[0]}" if lines[0] == lines[1] else f"lines {lines[0]}-{lines[1]}"
    assert answer.startswith(f"the most similar lines follow; quote {name} exactly as here:\n")


def test_text_that_resembles_nothing_is_not_guessed() -> None:
    assert where_it_nearly_matches(CONTENT, "SELECT * FROM table", "x") == (
        "no similar line was found; read the file again and quote it exactly"
    )


def test_edit_that_was_made_before_is_recognised() -> None:
    answer = where_it_nearly_matches(CONTENT, "class Another:", "class Other:")
    assert answer == "new_string is already on line 8, so the edit may already have been made"


def test_many_lines_are_shown_in_part() -> None:
    content = "".join(f"  line {number}\n" for number in range(1000))
    answer = where_it_nearly_matches(content, content.replace("  ", "\t"), "x")
    assert answer.startswith("it differs in whitespace; quote lines 1-40 exactly as here:\n  line 0\n")
    assert len(answer) < 1000


@pytest.mark.parametrize("lead", ["a line\n" * 39 + "\u2003" * 1200, "", "word " * 150])
def test_token_at_the_limit_is_quoted_whole_or_not_at_all(lead: str) -> None:
    token = "t0ken!" * 200
    for moved in range(0, 400, 3):
        content = lead + "=" * moved + f" key {token} end" + " end" * 1000
        answer = where_it_nearly_matches(content, content.replace(" end", "\tend"), "x")
        assert token in answer or "t0ken!" not in answer


@pytest.mark.parametrize(
    "unit", ["x\n", " \n", "a b ", "\\n", "&lt;", "1\t", "\u0301\u0323", "\u00c5\u0301\u0323\n", "'\u2019"]
)
def test_long_texts_take_linear_time(unit: str) -> None:
    assert_linear(lambda text: where_it_nearly_matches(text, text + "\u2013y", "z"), unit)
    assert_linear(lambda text: where_it_nearly_matches(text, " " + unit * 100 + "y", "z"), unit)
