"""What a worker's exit code and words come to: an end is believed where the worker told it."""

from __future__ import annotations

import pytest

from trioworker.fleet.engine import attempt_of

OUTCOME = b'{"status":"failed","success":false,"message":"no way","iterations":1,"reported":true,"metrics":{}}\n'


def test_an_outcome_is_the_last_line_that_is_one() -> None:
    attempt = attempt_of(1, b"words\n" + OUTCOME + b"\n", b"", "here")
    assert (attempt.exit_code, attempt.status, attempt.message) == (1, "failed", "no way")


@pytest.mark.parametrize("code", [0, 1, 4])
def test_an_end_without_an_outcome_was_not_reported(code: int) -> None:
    attempt = attempt_of(code, b"", b"Traceback\nNo module named trioworker\n", "here")
    assert (attempt.exit_code, attempt.message) == (None, "No module named trioworker")


@pytest.mark.parametrize("code", [2, 3])
def test_a_complaint_is_the_message(code: int) -> None:
    attempt = attempt_of(code, b"", b"trioworker: no such job\n", "here")
    assert (attempt.exit_code, attempt.message) == (code, "no such job")


def test_a_signal_is_a_loss() -> None:
    attempt = attempt_of(-9, b"", b"", "here")
    assert (attempt.exit_code, attempt.message) == (None, "the worker was ended by signal 9")
