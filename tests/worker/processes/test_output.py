from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioworker.worker.processes.output import BoundedOutput


def test_short_output_is_complete() -> None:
    output = BoundedOutput(100)
    output.feed(b"one\n")
    output.feed(b"two\n")
    assert output.text() == "one\ntwo\n"


def test_long_output_is_truncated_to_head_and_tail() -> None:
    output = BoundedOutput(10)
    for digit in b"0123456789abcdefghij":
        output.feed(bytes([digit]))
    assert output.text() == "01234\n... [truncated 10 bytes] ...\nfghij"


def test_one_large_piece_is_truncated_like_many_small_ones() -> None:
    output = BoundedOutput(10)
    output.feed(b"0123456789abcdefghij")
    assert output.text() == "01234\n... [truncated 10 bytes] ...\nfghij"


def test_a_character_in_two_pieces_is_decoded() -> None:
    output = BoundedOutput()
    output.feed("ä".encode()[:1])
    output.feed("ä".encode()[1:])
    assert output.text() == "ä"


@pytest.mark.parametrize("data", [b"\xff", b"\xc3", b"ok\xe2\x82"])
def test_invalid_utf8_is_replaced(data: bytes) -> None:
    output = BoundedOutput()
    output.feed(data)
    assert "\ufffd" in output.text()


@given(st.text(), st.integers(2, 40), st.integers(1, 7))
def test_no_character_is_split_and_the_count_is_right(text: str, limit: int, size: int) -> None:
    data = text.encode()
    output = BoundedOutput(limit)
    for start in range(0, len(data), size):
        output.feed(data[start : start + size])
    shown = output.text()
    if shown == text:
        return
    found = re.fullmatch(r"(.*)\n\.\.\. \[truncated (\d+) bytes\] \.\.\.\n(.*)", shown, re.DOTALL)
    assert found is not None
    head, dropped, tail = found[1], int(found[2]), found[3]
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(head.encode()) + dropped + len(tail.encode()) == len(data)
    assert len(head.encode()) + len(tail.encode()) <= limit
