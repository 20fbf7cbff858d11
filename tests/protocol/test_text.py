"""Completion, announcements and cuts, beyond the contract's vectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linear_time import assert_linear
from trioworker.protocol.text import signals_completion, talks_of_calling, truncate

TOOLS = ("shell", "read_file", "write_file", "list_dir", "apply_patch", "grep")


@given(st.text(), st.integers(0, 50))
def test_a_cut_text_is_the_longest_prefix_that_fits(text: str, limit: int) -> None:
    cut = truncate(text, limit)
    if len(text.encode()) <= limit:
        assert cut == text
        return
    prefix = cut.removesuffix("...")
    assert text.startswith(prefix)
    assert len(prefix.encode()) <= limit < len(text[: len(prefix) + 1].encode())


@pytest.mark.parametrize(
    ("text", "done"),
    [
        ("I\u2019ve completed the port.", True),
        ("It isn\u2019t done. The job is done", True),
        ("The job is done. The rest isn\u2019t done", False),
        ("The job is **complete**.", True),
        ("**The job is complete.**", True),
        ("The long answer was hard-wrapped, but the job\nis complete.", True),
        ("Fixed the incomplete parser\nThe job is complete", True),
        ("- incomplete parser: fixed\n- tests: green\n\nThe job is complete.", True),
        ("The job is complete.\n\n- docs: unfinished", False),
        ("I left v1.2 unfinished; v1.3 is out and the task is done", False),
        ("The job is complete (see NOTES.md).", True),
    ],
)
def test_completion(text: str, *, done: bool) -> None:
    assert signals_completion(text) is done


def test_a_denial_far_above_does_not_veto_the_last_line() -> None:
    assert signals_completion("The parser was incomplete. " * 1000 + "The job is complete.")


@pytest.mark.parametrize(
    "text",
    [
        "I will now run the tests.",
        "Let me read the file",
        "I'll use the shell tool",
        "I\u2019ll use the shell tool.",
        "Okay, let me check the directory first.",
        "Next, I'm going to apply the patch.",
        "The tests fail because of a typo. Let me fix it.",
        "The tests fail, so I'll look at the parser.",
        "All clear.\n\nNow I need to open `src/main.py`:",
        "I'll start by reading the README.",
        "I will go ahead and install it.",
        "Calling read_file now.",
        "Running the tests...",
        "Let's run `pytest -q` and see.",
        "First, I will run this:\n\n```sh\npytest\n```",
    ],
)
def test_an_announcement_is_talk_of_calling(text: str) -> None:
    assert talks_of_calling(text, TOOLS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The job is complete.",
        "I ran the tests and they pass.",
        "I have run the tests.",
        "Should I run the tests?",
        "Let me run the tests. Is that all right?",
        "I will run the tests if you want.",
        "Let me know when I can run the tests.",
        "Once you confirm, I will delete the folder.",
        "I will not run the tests.",
        "I'll use this approach from now on.",
        "Let me explain what the shell does.",
        "Let me summarize: the file was read, the bug is fixed.",
        "The note says: \u201cI will now run the tests.\u201d",
        'The note says "I will now run the tests."',
        "> I will now run the tests.",
        "```\nI will now run the tests.\n```",
        "`Let me read the file`",
        "I will now run the tests.\n\nThey pass, and the work is done.",
        "Running the tests shows that all is well.",
        "<thinking>I will run the tests.</thinking>All good.",
        "The user will run the tests.",
    ],
)
def test_what_is_no_announcement(text: str) -> None:
    assert not talks_of_calling(text, TOOLS)


@pytest.mark.parametrize(
    "unit", [".", "!?.", "\n", " \n", "a. ", "not done. "[:-1], "\u201c", '"', "now ", "let me ", "- ", "`", "'.'"]
)
def test_time_is_linear(unit: str) -> None:
    assert_linear(signals_completion, unit)
    assert_linear(lambda text: talks_of_calling(text, TOOLS), unit)
    assert_linear(lambda text: truncate(text, 2000), unit)
