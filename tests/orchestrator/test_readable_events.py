"""Tool results and arguments as a person reads them."""

from __future__ import annotations

import pytest

from trioworker.orchestrator.readable_events import arguments_of, is_failed_command, readable_arguments, readable_output


def test_output_that_fits_is_shown_unchanged() -> None:
    assert readable_output({"output": "a\n[exit code 2]"}) == "a\n[exit code 2]"
    assert readable_output({}) == ""


def test_output_that_was_cut_shows_its_tail() -> None:
    assert readable_output({"output": "a\nb...", "tail": "y\nz"}) == "a\nb\n…\ny\nz"


def test_tail_that_overlaps_the_preview_is_not_shown_twice() -> None:
    text = "".join(f"line {number}\n" for number in range(300))
    assert readable_output({"output": f"{text[:2000]}...", "tail": text[-2000:]}) == text


def test_tail_of_repetitive_output_is_not_joined_to_the_preview() -> None:
    line = "the same words on each line, which only their number tells apart: "
    text = "".join(f"{line}{number}\n" for number in range(1000))
    shown = readable_output({"output": f"{text[:2000]}...", "tail": text[-2000:]})
    assert shown == f"{text[:2000]}\n…\n{text[-2000:]}"


def test_only_a_nonzero_exit_code_is_a_failed_command() -> None:
    assert [is_failed_command(data) for data in ({"exit_code": 1}, {"exit_code": 0}, {})] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"command": "ls", "timeout": 5}', "command=ls  timeout=5"),
        ('{"command": "l', '{"command": "l'),
        ('{"workdir": "a", "command": "l...', "workdir=a  command=l…"),
        ('{"command": "a\\nb\\u00...', "command=a\nb…"),
        ('{"path": "a", "edits": [{"old_st...', '{"path": "a", "edits": [{"old_st...'),
        ("[1]", "[1]"),
    ],
)
def test_arguments_are_shown_as_pairs(text: str, shown: str) -> None:
    assert readable_arguments(text) == shown


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('{"command": "ls", "timeout": 5}', {"command": "ls", "timeout": 5}),
        ('{"path": "a", "content": "cut he...', {"path": "a", "content": "cut he…"}),
        ("[1]", None),
        ("no JSON", None),
        ("", None),
    ],
)
def test_arguments_are_read_even_if_they_are_cut(text: str, arguments: object) -> None:
    assert arguments_of(text) == arguments
