"""The lines of a container's log, and where they continue after a connection was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trioworker.fleet.kubernetes.api.log_lines import MAX_LINE, LogLine, split_lines

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

FIRST, SECOND, THIRD = (f"2026-11-26T16:49:2{number}.000000001Z" for number in (5, 6, 7))


async def lines_of(*chunks: bytes, since: str = "") -> list[LogLine]:
    async def received() -> AsyncGenerator[bytes]:
        for chunk in chunks:
            yield chunk

    return [line async for line in split_lines(received(), since)]


async def test_lines_are_joined_from_chunks() -> None:
    lines = await lines_of(f"{FIRST} on".encode(), f"e\n{SECOND} \n{THIRD} thr".encode(), b"ee")
    assert lines == [LogLine(FIRST, b"one\n"), LogLine(SECOND, b"\n"), LogLine(THIRD, b"three")]


async def test_lines_that_were_seen_before_are_skipped() -> None:
    text = "".join(f"{time} {name}\n" for time, name in ((FIRST, "one"), (SECOND, "two"), (THIRD, "three")))
    assert await lines_of(text.encode(), since=SECOND) == [LogLine(THIRD, b"three\n")]


@pytest.mark.parametrize("text", [b"no time\n", b"failed to try resolving symlinks\n", b"\n", b"\xff\xfe x\n"])
async def test_line_without_a_time_is_kept_as_it_is(text: bytes) -> None:
    assert await lines_of(text) == [LogLine("", text)]


async def test_long_line_is_split() -> None:
    lines = await lines_of(*[b"x" * 1024] * (MAX_LINE // 1024 + 2), b"\n")
    assert len(lines) == 2
    assert b"".join(line.text for line in lines) == b"x" * (MAX_LINE + 2048) + b"\n"


@pytest.mark.parametrize(("since", "parts"), [("", 2), (FIRST, 2), (SECOND, 0)])
async def test_parts_of_a_long_line_are_kept_or_skipped_together(since: str, parts: int) -> None:
    lines = await lines_of(f"{SECOND} ".encode(), *[b"x" * 1024] * (MAX_LINE // 1024 + 2), b"\n", since=since)
    assert len(lines) == parts


async def test_last_line_that_was_seen_before_is_skipped_without_its_newline() -> None:
    assert await lines_of(f"{SECOND} two".encode(), since=SECOND) == []
