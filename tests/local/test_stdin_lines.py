"""Lines of standard input."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from trioworker.local.stdin_lines import MAX_LINE_BYTES, follow_lines

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextmanager
def closing(descriptor: int) -> Generator[int]:
    """Close `descriptor` on exit."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def lines_of(data: bytes) -> list[str]:
    """The lines read from a pipe that contains `data` and is then closed."""
    reader, writer = os.pipe()
    lines: list[str] = []

    def write() -> None:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(data)

    with trio.fail_after(10), closing(reader):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow_lines, reader, lines.append)
            await trio.to_thread.run_sync(write)
    return lines


async def test_each_line_is_passed_on_and_the_last_needs_no_line_end() -> None:
    assert await lines_of(b"one\n\n  two \r\nthr\xc3\xa9e") == ["one", "two", "thrée"]


async def test_invalid_utf8_is_replaced() -> None:
    assert await lines_of(b"a\xffb\n") == ["a\ufffdb"]


async def test_a_very_long_line_is_split() -> None:
    lines = await lines_of(b"x" * (2 * MAX_LINE_BYTES + 10))

    assert sum(map(len, lines)) == 2 * MAX_LINE_BYTES + 10
    assert len(lines) > 1
    assert max(map(len, lines)) < 2 * MAX_LINE_BYTES


async def test_a_line_is_passed_on_as_soon_as_it_is_complete() -> None:
    reader, writer = os.pipe()
    send, receive = trio.open_memory_channel[str](10)
    with trio.fail_after(10), closing(reader):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow_lines, reader, send.send_nowait)
            with closing(writer):
                os.write(writer, b"first\nsec")
                assert await receive.receive() == "first"
                os.write(writer, b"ond\n")
                assert await receive.receive() == "second"


async def test_files_and_closed_descriptors_are_ignored(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_text("one\n")
    lines: list[str] = []
    with trio.fail_after(10):
        for name in (str(file), os.devnull):
            with closing(os.open(name, os.O_RDONLY)) as descriptor:
                await follow_lines(descriptor, lines.append)
        await follow_lines(10_000, lines.append)

    assert lines == []
