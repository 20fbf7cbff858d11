from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioworker.worker.processes.output import BoundedOutput


def test_short_output_is_whole() -> None:
    window = BoundedOutput(100)
    window.feed(b"one\n")
    window.feed(b"two\n")
    assert window.text() == "one\ntwo\n"


def test_long_output_keeps_head_and_tail_and_counts_the_rest() -> None:
    window = BoundedOutput(10)
    for digit in b"0123456789abcdefghij":
        window.feed(bytes([digit]))
    assert window.text() == "01234\n... [truncated 10 bytes] ...\nfghij"


def test_one_large_piece_is_cut_like_many_small_ones() -> None:
    window = BoundedOutput(10)
    window.feed(b"0123456789abcdefghij")
    assert window.text() == "01234\n... [truncated 10 bytes] ...\nfghij"


def test_a_character_that_comes_in_two_pieces_is_whole() -> None:
    window = BoundedOutput()
    window.feed("ä".encode()[:1])
    window.feed("ä".encode()[1:])
    assert window.text() == "ä"


@pytest.mark.parametrize("data", [b"\xff", b"\xc3", b"ok\xe2\x82"])
def test_bytes_that_are_not_utf8_are_shown_replaced(data: bytes) -> None:
    window = BoundedOutput()
    window.feed(data)
    assert "\ufffd" in window.text()


@given(st.text(), st.integers(2, 40), st.integers(1, 7))
def test_no_character_is_halved_and_the_count_is_right(text: str, limit: int, size: int) -> None:
    data = text.encode()
    window = BoundedOutput(limit)
    for start in range(0, len(data), size):
        window.feed(data[start : start + size])
    shown = window.text()
    if shown == text:
        return
    found = re.fullmatch(r"(.*)\n\.\.\. \[truncated (\d+) bytes\] \.\.\.\n(.*)", shown, re.DOTALL)
    assert found is not None
    head, dropped, tail = found[1], int(found[2]), found[3]
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(head.encode()) + dropped + len(tail.encode()) == len(data)
    assert len(head.encode()) + len(tail.encode()) <= limit
