"""A stream that never blocks, whatever happens at the other end of its pipe."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from trioworker.observability.bounded_stream import BoundedStream, wait_until_written

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

FILLING = b"." * 4096
PIPE_BYTES = 64 * 1024
"""Capacity of a pipe (pipe(7))."""
TIMEOUT = 60.0
LIMIT = 10_000


class Pipe:
    """A pipe, and a stream at its writing end."""

    def __init__(self, *, encoding: str = "utf-8", limit: int = LIMIT) -> None:
        self.reader, self.writer = os.pipe()
        self.stream = BoundedStream(
            self.writer, encoding, limit=limit, describe_dropped=lambda lines: f"{lines} dropped\n"
        )

    def fill(self) -> int:
        """Fill the pipe, then write lines until one is dropped; return the number of lines."""
        os.set_blocking(self.writer, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.writer, FILLING)
        os.set_blocking(self.writer, True)
        count = 0
        while not self.stream.dropped:
            self.stream.write(f"{count:99}\n")
            count += 1
        return count

    def read_until(self, end: bytes) -> bytes:
        data = b""
        while not data.endswith(end):
            part = os.read(self.reader, PIPE_BYTES)
            assert part, f"closed without {end!r}"
            data += part
        return data


@contextmanager
def pipe(*, encoding: str = "utf-8", limit: int = LIMIT) -> Generator[Pipe]:
    """A pipe that is read to its end when the block is left, so that its thread ends the write."""
    made = Pipe(encoding=encoding, limit=limit)
    try:
        yield made
    finally:
        draining = threading.Thread(target=made.stream.drain)
        draining.start()
        while draining.is_alive():
            os.set_blocking(made.reader, False)
            try:
                os.read(made.reader, PIPE_BYTES)
            except BlockingIOError:
                draining.join(0.01)
        os.close(made.reader)
        os.close(made.writer)


def test_lines_arrive_in_order() -> None:
    with pipe() as made:
        for number in range(50):
            made.stream.write(f"{number}\n")
        assert made.read_until(b"49\n").decode() == "".join(f"{number}\n" for number in range(50))


def test_unread_pipe_drops_lines_and_their_number_follows_when_it_is_read() -> None:
    with pipe() as made:
        written = made.fill()
        made.stream.write("one more\n")
        assert not made.stream.drain(0.01)
        assert made.stream.dropped == 2
        lines = made.read_until(b"dropped\n").decode().lstrip(".").splitlines()
        assert [int(line) for line in lines[:-1]] == list(range(written - 1))
        assert lines[-1] == "2 dropped"
        made.stream.write("again\n")
        assert made.read_until(b"again\n") == b"again\n"


def test_bytes_that_wait_are_bounded() -> None:
    with pipe() as made:
        assert made.fill() * 100 <= LIMIT + 100


def test_text_over_the_limit_is_written_when_nothing_waits() -> None:
    text = "x" * (3 * LIMIT) + "\n"
    with pipe() as made:
        made.stream.write(text)
        assert made.read_until(b"\n").decode() == text


def test_closed_pipe_fails_no_write_and_is_reported_by_a_wait() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = BoundedStream(writer)
    try:
        stream.write("lost\n")
        assert stream.drain(TIMEOUT)
        assert stream.dropped == 1
        with pytest.raises(BrokenPipeError):
            wait_until_written(stream)
    finally:
        os.close(writer)


def test_full_disk_is_counted() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    stream = BoundedStream(descriptor)
    try:
        stream.write("one\ntwo\n")
        assert stream.drain(TIMEOUT)
        assert stream.dropped == 2
        assert stream.error is not None
        assert stream.error.errno == errno.ENOSPC
    finally:
        os.close(descriptor)


def test_descriptor_that_another_process_made_nonblocking_loses_nothing() -> None:
    text = "x" * (3 * PIPE_BYTES) + "\n"
    with pipe() as made:
        os.set_blocking(made.writer, False)
        made.stream.write(text)
        assert made.read_until(b"\n").decode() == text


def test_line_written_in_parts_is_passed_on_as_one() -> None:
    with pipe() as made:
        made.stream.write("a")
        assert made.stream.write("b") == 1
        made.stream.write("c\nrest")
        assert made.read_until(b"\n") == b"abc\n"
        assert made.stream.drain(TIMEOUT)
        assert made.read_until(b"rest") == b"rest"


@pytest.mark.parametrize(("encoding", "written"), [("latin-1", b"\xe9 \\u65e5\n"), ("utf-8", "é 日\n".encode())])
def test_characters_that_the_encoding_lacks_are_escaped(encoding: str, written: bytes) -> None:
    with pipe(encoding=encoding) as made:
        made.stream.write("é 日\n")
        assert made.read_until(b"\n") == written


def test_lone_surrogates_are_escaped() -> None:
    with pipe() as made:
        made.stream.write("a\udce9\n")
        assert made.read_until(b"\n") == b"a\\udce9\n"


def test_wait_covers_a_plain_stream(tmp_path: Path) -> None:
    file = tmp_path / "out"
    with file.open("w") as stream:
        stream.write("text")
        wait_until_written(stream)
        assert file.read_text() == "text"
