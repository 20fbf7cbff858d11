"""The output of a command, collected in bounded memory."""

from __future__ import annotations

import os
import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linear_time import assert_linear
from trioworker.worker.processes.output import (
    CollectedOutput,
    read_available,
    without_broken_end,
    without_broken_start,
)

DROPPED = re.compile(r"\n\[(\d+) bytes of the output were dropped here\]\n")


def test_output_within_the_limit_is_complete() -> None:
    output = CollectedOutput(100)
    output.feed(b"one\n")
    output.feed(b"two\n")
    assert output.text() == "one\ntwo\n"
    assert output.size == 8


def test_character_and_escape_sequence_in_two_pieces_are_recognized() -> None:
    output = CollectedOutput()
    for byte in "\x1b[31mä".encode():
        output.feed(bytes([byte]))
    assert output.text() == "ä"


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_long_output_keeps_whole_lines_of_head_and_tail(size: int) -> None:
    data = "".join(f"line {number}\n" for number in range(10_000)).encode()
    output = CollectedOutput(8_000)
    for start in range(0, len(data), size):
        output.feed(data[start : start + size])
    head, dropped, tail = DROPPED.split(output.text())
    assert data.decode().startswith(f"{head}\n")
    assert data.decode().endswith(f"\n{tail}")
    assert len(head) + int(dropped) + len(tail) == len(data)
    assert 5_000 < len(head) + len(tail) <= 8_000


def test_private_key_is_not_shown_from_its_middle() -> None:
    key = "".join(f"{number:064x}\n" for number in range(100))
    output = CollectedOutput(200_000)
    output.feed(b"x" * 500_000)
    output.feed(f"\n{key}".encode())
    output.feed(("the end\n" * 12_000).encode())
    assert "000000" not in output.text()


SECRET = b"p@ss!w0rd#$uper^secret&value*(42)"


@pytest.mark.parametrize("before", [b"word " * 20_000, b'{"a":"b"},' * 10_000])
@pytest.mark.parametrize("after", [b" word" * 40_000, b',{"a":"b"}' * 20_000])
def test_secret_with_punctuation_at_a_cut_is_dropped_as_a_whole(before: bytes, after: bytes) -> None:
    for moved in range(0, 40, 3):
        output = CollectedOutput(200_000)
        output.feed(before[moved + 10 :] + b" '" + SECRET + b"' " + after)
        text = output.text().encode()
        assert SECRET in text or (SECRET[:6] not in text and SECRET[-6:] not in text)
        tail = b"'" + SECRET + b"' " + after
        assert SECRET[-6:] not in without_broken_start(tail[moved + 1 :]) or moved > len(SECRET)
        head = before + b"'" + SECRET
        assert SECRET[:6] not in without_broken_end(head[: len(head) - moved]) or moved > len(SECRET)


def test_word_that_is_all_of_the_text_is_dropped_unless_it_is_too_long_for_a_secret() -> None:
    assert without_broken_end(SECRET) == b""
    assert without_broken_end(b"x" * 5000) == b"x" * 5000


@pytest.mark.parametrize("unit", ["x", "x ", '"', "x,", "x\n", " "])
def test_search_for_a_broken_word_takes_linear_time(unit: str) -> None:
    assert_linear(lambda text: without_broken_end(text.encode()), unit)
    assert_linear(lambda text: without_broken_start(text.encode()), unit)


@given(st.text(st.characters(exclude_categories=["C"])), st.integers(2, 40), st.integers(1, 7))
def test_no_character_is_split_and_no_byte_is_invented(text: str, limit: int, size: int) -> None:
    data = text.encode()
    output = CollectedOutput(limit)
    for start in range(0, len(data), size):
        output.feed(data[start : start + size])
    shown = output.text()
    if shown == text:
        return
    head, _, tail = DROPPED.split(shown)
    assert text.startswith(head.rstrip("\ufffd"))
    assert text.endswith(tail.lstrip("\ufffd"))


def test_output_that_another_process_takes_meanwhile_is_not_waited_for() -> None:
    for _ in range(1000):
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        os.write(write_end, bytes(60_000))
        os.close(write_end)
        both = threading.Barrier(2)

        def take(descriptor: int = read_end, both: threading.Barrier = both) -> None:
            both.wait()
            while os.read(descriptor, 100):
                pass

        thief = threading.Thread(target=take)
        thief.start()
        both.wait()
        taken = sum(map(len, read_available(read_end)))
        thief.join()
        os.close(read_end)
        assert taken <= 60_000


def test_output_that_is_taken_while_the_pipe_is_open_is_not_waited_for() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.write(write_end, b"some")
    assert read_available(read_end) == [b"some"]
    assert read_available(read_end) == []
    os.close(write_end)
    os.close(read_end)
