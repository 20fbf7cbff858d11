"""Attempts from exit codes and output: a reported outcome needs both."""

from __future__ import annotations

import tempfile

import pytest

from trioworker.fleet.engine import attempt_from_exit
from trioworker.fleet.process_engine import read_tail
from trioworker.protocol.limits import MAX_KEPT_OUTPUT_BYTES

OUTCOME = b'{"status":"failed","success":false,"message":"no way","iterations":1,"reported":true,"metrics":{}}\n'


def test_outcome_is_the_last_line_of_json() -> None:
    attempt = attempt_from_exit(1, b"words\n" + OUTCOME + b"\n", b"", "here")
    assert (attempt.exit_code, attempt.status, attempt.message) == (1, "failed", "no way")


@pytest.mark.parametrize("line", [b'{"a": ' * 100_000, b"[" * 100_000])
def test_line_that_is_nested_too_deeply_is_no_outcome(line: bytes) -> None:
    assert attempt_from_exit(1, OUTCOME + line, b"", "here").message == "no way"


@pytest.mark.parametrize("code", [0, 1, 4])
def test_exit_without_an_outcome_is_a_lost_worker(code: int) -> None:
    attempt = attempt_from_exit(code, b"", b"Traceback\nNo module named trioworker\n", "here")
    assert (attempt.exit_code, attempt.message) == (None, "No module named trioworker")


@pytest.mark.parametrize("code", [2, 3])
def test_last_line_of_stderr_is_the_message(code: int) -> None:
    attempt = attempt_from_exit(code, b"", b"trioworker: no such job\n", "here")
    assert (attempt.exit_code, attempt.message) == (code, "no such job")


def test_killed_worker_is_lost() -> None:
    attempt = attempt_from_exit(-9, b"", b"", "here")
    assert (attempt.exit_code, attempt.message) == (None, "the worker was killed by signal 9")


@pytest.mark.parametrize("code", [-9, 255])
def test_outcome_of_a_worker_that_crashed_after_it_is_no_status(code: int) -> None:
    attempt = attempt_from_exit(code, OUTCOME, b"", "here")
    assert (attempt.status, attempt.success) == (None, None)


def test_outcome_with_the_longest_report_is_read_whole() -> None:
    outcome = OUTCOME.replace(b"no way", b"\\u0001" * MAX_KEPT_OUTPUT_BYTES)
    with tempfile.TemporaryFile() as out:
        out.write(b"words\n" * 100_000 + outcome)
        attempt = attempt_from_exit(1, read_tail(out), b"", "here")
    assert attempt.message == "\x01" * MAX_KEPT_OUTPUT_BYTES
