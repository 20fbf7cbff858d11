"""The log: on stderr, in two formats, without secrets."""

from __future__ import annotations

import json

import pytest
from loguru import logger

from trioworker.observability.logging import LogFormat, Logs
from trioworker.worker.redaction.secrets import Redactor

SECRET = "-".join(("granted", "secret", "88c1f0"))
FORMS: list[LogFormat] = ["text", "json"]


def redact(text: str) -> str:
    return Redactor(token=SECRET).redact(text).text


def crash(word: str) -> None:
    raise ValueError(f"{word} is no number")


def test_text_format_has_time_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    Logs("info", "text", redact)
    logger.info("job {}: {}", 7, "began")
    captured = capsys.readouterr()
    assert captured.out == ""
    time, level, message = captured.err.split(maxsplit=2)
    assert time[:2] == "20"
    assert level == "INFO"
    assert message == "job 7: began\n"


def test_json_format_is_one_object_per_line_for_any_message(capsys: pytest.CaptureFixture[str]) -> None:
    Logs("info", "json", redact)
    logger.warning('two\nlines, a "quote" and {{braces}}')
    logger.info("second")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["level"] == "warning"
    assert first["message"].startswith('two\nlines, a "quote"')
    assert first["time"].startswith("20")
    assert second["message"] == "second"
    assert "exception" not in second


@pytest.mark.parametrize("form", FORMS)
def test_records_below_the_level_are_not_written(form: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    Logs("warning", form, redact)
    logger.info("chatter")
    logger.error("trouble")
    written = capsys.readouterr().err
    assert "chatter" not in written
    assert "trouble" in written


@pytest.mark.parametrize("form", FORMS)
def test_secret_is_redacted_in_messages_and_tracebacks(form: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    Logs("debug", form, redact)
    logger.info("the token is {}", SECRET)
    try:
        crash(SECRET)
    except ValueError as error:
        logger.opt(exception=error).error("it failed with {}", SECRET)
    written = capsys.readouterr().err
    assert "is no number" in written
    assert "ValueError" in written
    assert SECRET not in written


@pytest.mark.parametrize("form", FORMS)
def test_secrets_can_be_added_later(form: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    logs = Logs("info", form, lambda text: text)
    logs.redact = redact
    logger.info("the token is {}", SECRET)
    assert SECRET not in capsys.readouterr().err


def test_new_log_replaces_the_old_one(capsys: pytest.CaptureFixture[str]) -> None:
    Logs("info", "text", redact)
    Logs("info", "text", redact)
    logger.info("once")
    assert capsys.readouterr().err.count("once") == 1


FORGED = "a title\n2026-01-01T00:00:00.000+0000 INFO    job 7: completed\x1b[2J\u202e\x9b\udce9"


@pytest.mark.parametrize("form", FORMS)
def test_message_can_not_forge_lines(form: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    Logs("info", form, redact)
    logger.info("job 7: {}", FORGED)
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert written.removesuffix("\n").isprintable()


@pytest.mark.parametrize("form", FORMS)
def test_error_can_not_forge_lines(form: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    Logs("info", form, redact)
    try:
        crash(FORGED)
    except ValueError as error:
        logger.opt(exception=error).error("it failed")
    first, *others = capsys.readouterr().err.splitlines()
    assert "it failed" in first
    assert all(line.startswith("    ") for line in others)
    assert all(line.isprintable() for line in (first, *others))


def test_traceback_is_readable_and_indented(capsys: pytest.CaptureFixture[str]) -> None:
    Logs("info", "text", redact)
    try:
        crash("seven")
    except ValueError as error:
        logger.opt(exception=error).error("it failed")
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "    Traceback (most recent call last):"
    assert "    ValueError: seven is no number" in lines
    assert any(line.lstrip().startswith("File ") and "crash" in line for line in lines)
