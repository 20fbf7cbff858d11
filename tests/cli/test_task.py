"""The text of a job: words, a file or standard input."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trioworker.cli.task import MAX_TASK_BYTES, MAX_TITLE_BYTES, read_task
from trioworker.errors import ConfigError
from trioworker.protocol.wire import JobDescription
from trioworker.worker.llm.prompts import job_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def from_file(folder: Path, data: bytes) -> str:
    file = folder / "task.md"
    file.write_bytes(data)
    return read_task([], file, option=str(file), follow_ups=False)


@contextmanager
def standard_input(data: bytes, folder: Path) -> Generator[None]:
    """Make `data` the standard input of this process."""
    (folder / "stdin").write_bytes(data)
    kept = os.dup(0)
    descriptor = os.open(folder / "stdin", os.O_RDONLY)
    try:
        os.dup2(descriptor, 0)
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(descriptor)


def from_stdin(folder: Path, data: bytes) -> str:
    with standard_input(data, folder):
        return read_task(["-"], None, option=None, follow_ups=False)


SOURCES = [pytest.param(from_file, id="file"), pytest.param(from_stdin, id="stdin")]


@pytest.mark.parametrize("read", SOURCES)
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"Fix it.\n", "Fix it."),
        (b"\xef\xbb\xbfFix it.", "Fix it."),
        (b"Fix it.\r\nThen test.\r\n\r\n", "Fix it.\nThen test."),
        ("Behebe den Fehler: \u00fc \U0001f600\n".encode(), "Behebe den Fehler: \u00fc \U0001f600"),
        (b"  - indented\n\n  - list\n", "  - indented\n\n  - list"),
        (b"x" * MAX_TASK_BYTES, "x" * MAX_TASK_BYTES),
        (b"\xef\xbb\xbf" + b"x" * MAX_TASK_BYTES, "x" * MAX_TASK_BYTES),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_text_is_read_whole(read: Callable[[Path, bytes], str], data: bytes, text: str, tmp_path: Path) -> None:
    assert read(tmp_path, data) == text


@pytest.mark.parametrize("read", SOURCES)
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", " is empty; it must contain the task"),
        (b"\xef\xbb\xbf \r\n", " is empty; it must contain the task"),
        (b"one\ntwo \xff\n", ": line 2 is not valid UTF-8; convert it to UTF-8"),
        ("UTF-16".encode("utf-16"), ": line 1 is not valid UTF-8; convert it to UTF-8"),
        (b"one\n\ntwo\0\n", ": line 3 has a NUL character; give a text in UTF-8"),
        (b"x" * (MAX_TASK_BYTES + 1), ": the task is longer than 399,000 bytes; put the details into a file"),
        (b"\xef\xbb\xbf" + b"x" * (MAX_TASK_BYTES + 1), ": the task is longer than 399,000 bytes;"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_unusable_text_is_one_line(
    read: Callable[[Path, bytes], str], data: bytes, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, data)
    source = f"--task-file {tmp_path}/task.md" if read is from_file else "standard input"
    assert str(caught.value).startswith(source + reason)


def test_device_without_an_end_is_not_read_for_ever() -> None:
    with pytest.raises(ConfigError, match="longer than"):
        read_task([], Path("/dev/zero"), option="/dev/zero", follow_ups=False)


@pytest.mark.parametrize(("name", "reason"), [("absent", "No such file or directory"), (".", "Is a directory")])
def test_unreadable_file_is_one_line(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_task([], tmp_path / name, option=name, follow_ups=False)
    assert str(caught.value) == f"--task-file {tmp_path / name}: {reason}; name a file with the task"


def test_unquoted_words_are_joined_with_a_notice(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_task(["Fix", "the", "bug"], None, option=None, follow_ups=False) == "Fix the bug"
    assert capsys.readouterr().err == (
        'trioworker: the task was given as 3 words, which are joined; quote it: trioworker local "…"\n'
    )


def test_quoted_text_has_no_notice(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_task(["Fix the bug"], None, option=None, follow_ups=True) == "Fix the bug"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("words", [["Fix it"], ["-"]])
def test_text_and_file_are_refused_together(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TEXT and --task-file are both given; leave one out"):
        read_task(words, tmp_path / "task.md", option="task.md", follow_ups=False)


def test_text_takes_precedence_over_the_variable_of_the_file(tmp_path: Path) -> None:
    assert read_task(["Fix it"], tmp_path / "absent", option=None, follow_ups=False) == "Fix it"


def test_standard_input_is_not_read_twice() -> None:
    with pytest.raises(ConfigError, match="TEXT and --follow-ups are both -; standard input can be only one of them"):
        read_task(["-"], None, option=None, follow_ups=True)


def test_blank_text_is_missing() -> None:
    with pytest.raises(ConfigError, match="the task is missing; describe it: trioworker local"):
        read_task(["  "], None, option=None, follow_ups=False)


def test_text_with_invalid_bytes_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"TEXT: .* is not valid UTF-8"):
        read_task(["caf\udce9"], None, option=None, follow_ups=False)


def test_reading_from_a_terminal_says_how_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = os.openpty()
    kept = os.dup(0)
    try:
        os.dup2(theirs, 0)
        os.write(ours, b"Fix it.\n\x04")
        assert read_task(["-"], None, option=None, follow_ups=False) == "Fix it."
    finally:
        os.dup2(kept, 0)
        for descriptor in (ours, theirs, kept):
            os.close(descriptor)
    assert capsys.readouterr().err == "trioworker: type the task, and end it with Ctrl-D on a line of its own\n"


def test_longest_task_reaches_the_model_uncut() -> None:
    job = JobDescription(title="t" * (MAX_TITLE_BYTES - 2), description="x" * MAX_TASK_BYTES)
    assert job_prompt(job) == f"{job.title}\n\n{job.description}"
