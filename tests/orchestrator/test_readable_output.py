"""Tool results and arguments as a person reads them."""

from __future__ import annotations

import pytest

from trioworker.orchestrator.readable_output import readable_arguments, readable_output


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ('{\n  "output": "a\\nb\\n",\n  "exit_code": 0\n}', "a\nb\n"),
        ('{\n  "output": "a\\n",\n  "exit_code": 2\n}', "a\n(exit code 2)"),
        ('<tool_output name="shell" sanitized="false">\n{"output": "a"}\n</tool_output>', "a"),
        ('{"path": "x", "entries": ["a/", "b (1B)"]}', "a/\nb (1B)"),
        ('{"path": "x", "replacements": 1}', "path=x  replacements=1"),
        ('{\n  "output": "cut \\nhere', "cut \nhere"),
        ('{\n  "output": "cut \\', "cut "),
        ("no JSON", "no JSON"),
        ("[1]", "[1]"),
    ],
)
def test_a_result_is_shown_as_the_text_or_list_that_its_json_holds(output: str, shown: str) -> None:
    assert readable_output(output) == shown


def test_a_result_cut_within_an_invalid_escape_is_shown_unchanged() -> None:
    output = '{\n  "output": "cut here \\u00e...'

    assert readable_output(output).startswith('{\n  "output"')


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"command": "ls", "timeout": 5}', "command=ls  timeout=5"),
        ('{"command": "l', '{"command": "l'),
        ("[1]", "[1]"),
    ],
)
def test_arguments_are_shown_as_pairs_unless_they_are_cut(text: str, shown: str) -> None:
    assert readable_arguments(text) == shown
