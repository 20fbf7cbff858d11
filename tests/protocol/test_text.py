"""Truncation and completion signals, beyond the contract's vectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linear_time import assert_linear
from trioworker.protocol.text import (
    says_only_that_it_is_complete,
    signals_completion,
    signals_failure,
    truncate,
    truncate_words,
)


@given(st.text(), st.integers(0, 50))
def test_truncate_keeps_the_longest_prefix_that_fits(text: str, limit: int) -> None:
    truncated = truncate(text, limit)
    if len(text.encode()) <= limit:
        assert truncated == text
        return
    prefix = truncated.removesuffix("...")
    assert text.startswith(prefix)
    assert len(prefix.encode()) <= limit < len(text[: len(prefix) + 1].encode())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" one\n two ", "one two"),
        ("one two three", "one two..."),
        ("one  two\tsecret", "one two..."),
        ("one secret-value", "one..."),
        ("secret-value", "..."),
        (" " * 100 + "secret-value", "..."),
    ],
)
def test_truncate_words_leaves_no_part_of_a_word(text: str, shown: str) -> None:
    assert truncate_words(text, 10) == shown


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
def test_completion_phrase_without_a_denial_signals_completion(text: str, *, done: bool) -> None:
    assert signals_completion(text) is done


def test_early_denial_does_not_veto_the_last_sentence() -> None:
    assert signals_completion("The parser was incomplete. " * 1000 + "The job is complete.")


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("The job can\u2019t be completed: no compiler.", True),
        ("**The job cannot be completed: no compiler.**\n", True),
        ("There is no key here,\nso the task cannot be completed.\n\n...", True),
        ("The job can\u2019t be done with sed, instead I use Python.", False),
        ("The job cannot be completed yet; next, I will install the compiler.", False),
        ("The job cannot be completed. Or can it?", False),
        ("...", False),
    ],
)
def test_last_sentence_without_another_attempt_signals_failure(text: str, *, failed: bool) -> None:
    assert signals_failure(text) is failed


@pytest.mark.parametrize(
    ("text", "alone"),
    [
        ("The job is complete.", True),
        ("**The job is complete!**", True),
        ("\u2705 The task is done.\n\nThe job is complete.", True),
        ("job is finished", True),
        ("I fixed the parser. The job is complete.", False),
        ("The job is complete: I fixed the parser.", False),
        ("", False),
        ("...", False),
    ],
)
def test_agreed_sentence_by_itself_is_recognized(text: str, *, alone: bool) -> None:
    assert says_only_that_it_is_complete(text) is alone


@pytest.mark.parametrize(
    "unit", [".", "!?.", "\n", " \n", "a. ", "not done. "[:-1], "\u201c", '"', "now ", "let me ", "- ", "`", "'.'"]
)
def test_text_rules_take_linear_time(unit: str) -> None:
    assert_linear(signals_completion, unit)
    assert_linear(signals_failure, unit)
    assert_linear(lambda text: signals_failure("The job can't be done. " + text), unit)
    assert_linear(says_only_that_it_is_complete, unit)
    assert_linear(lambda text: truncate(text, 2000), unit)
