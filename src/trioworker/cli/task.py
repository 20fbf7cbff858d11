"""The text of a job: the words of the command line, a file, or standard input."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trioworker.cli.options import check_text
from trioworker.errors import ConfigError
from trioworker.observability.notices import print_notice
from trioworker.protocol.limits import MAX_PROMPT_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STDIN = "-"
EXAMPLE = 'trioworker local "Make the tests pass." --llm openai:http://127.0.0.1:11434/v1'
MAX_TITLE_BYTES = 1_000
"""Reserve for the job's title, which the model sees too unless it begins the text."""
MAX_TASK_BYTES = MAX_PROMPT_BYTES - MAX_TITLE_BYTES
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_task(words: Sequence[str], file: Path | None, *, option: str | None, follow_ups: bool) -> str:
    """The text of the job; empty if none is given.

    Args:
        words: the words of the command line; only `-` means standard input.
        file: the file of `--task-file`, from the option or its variable.
        option: the value of the option only: words take precedence over a variable.
        follow_ups: whether follow-ups are read from standard input, too.

    Raises:
        ConfigError: two texts are given, or the text is empty, too long, not UTF-8, or can't be read.
    """
    if words and option is not None:
        raise ConfigError("TEXT and --task-file are both given; leave one out")
    if list(words) == [STDIN]:
        if follow_ups:
            raise ConfigError("TEXT and --follow-ups are both -; standard input can be only one of them")
        if os.isatty(0):
            print_notice("type the task, and end it with Ctrl-D on a line of its own")
        return _read(0, "standard input")
    if words:
        return _joined(words)
    return "" if file is None else _read(file, f"--task-file {file}")


def missing_task() -> ConfigError:
    """The error for a job without a text."""
    return ConfigError(f"the task is missing; describe it: {EXAMPLE}")


def _joined(words: Sequence[str]) -> str:
    text = " ".join(words)
    check_text("TEXT", text)
    if not text.strip():
        raise missing_task()
    if len(words) > 1:
        print_notice(f'the task was given as {len(words)} words, which are joined; quote it: trioworker local "…"')
    _check_size(len(text.encode()), "TEXT")
    return text


def _read(source: Path | int, name: str) -> str:
    try:
        with open(source, "rb", closefd=source != 0) as stream:
            # More than a task may have is not read: a device has no end.
            data = stream.read(len(BYTE_ORDER_MARK) + MAX_TASK_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{name}: {error.strerror}; name a file with the task") from error
    return _decoded(data.removeprefix(BYTE_ORDER_MARK), name)


def _decoded(data: bytes, name: str) -> str:
    _check_size(len(data), name)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}: line {line} is not valid UTF-8; convert it to UTF-8") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ConfigError(f"{name}: line {line} has a NUL character; give a text in UTF-8")
    if not text.strip():
        raise ConfigError(f"{name} is empty; it must contain the task")
    return text.replace("\r\n", "\n").rstrip()


def _check_size(size: int, name: str) -> None:
    if size > MAX_TASK_BYTES:
        raise ConfigError(
            f"{name}: the task is longer than {MAX_TASK_BYTES:,} bytes; "
            "put the details into a file in the workspace, and name that file in the task"
        )
