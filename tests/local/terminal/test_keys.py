"""Bytes of a terminal as keys."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trioworker.local.terminal.keys import ESCAPE_TIMEOUT, MAX_PASTE, PASTE_TIMEOUT, Key, KeyDecoder

SEQUENCES = [
    "\x1b[A",
    "\x1bOD",
    "\x1b[3~",
    "\x1b[1;5C",
    "\x1b[200~a\rb\x1b[201~",
    "\x1b]11;rgb:0/0/0\x07",
    "ü漢",
    "\x1b",
]


def keys_of(*pieces: bytes) -> list[Key]:
    decoder = KeyDecoder()
    return [key for piece in pieces for key in decoder.feed(piece)]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\r", "enter"),
        (b"\n", "enter"),
        (b"\x7f", "backspace"),
        (b"\x08", "backspace"),
        (b"\x01", "home"),
        (b"\x04", "end-of-input"),
        (b"\x0c", "redraw"),
        (b"\x1b[A", "up"),
        (b"\x1bOA", "up"),
        (b"\x1b[D", "left"),
        (b"\x1b[H", "home"),
        (b"\x1b[1~", "home"),
        (b"\x1bOF", "end"),
        (b"\x1b[8~", "end"),
        (b"\x1b[3~", "delete"),
    ],
)
def test_keys_have_names(data: bytes, name: str) -> None:
    assert keys_of(data) == [Key(name)]


@pytest.mark.parametrize(
    "data",
    [
        b"\x1b[15~",  # F5
        b"\x1b[[A",  # F1 of the Linux console
        b"\x1bOP",  # F1
        b"\x1bx",  # Alt-X
        b"\x1b[1;5C",  # Ctrl-Right
        b"\x1b[I",  # the window got the focus
        b"\x1b[?62;4c",  # the reply to a query
        b"\x1b]11;rgb:0000/0000/0000\x1b\\",  # the same, ended by ST
        b"\x1b]11;rgb:0000/0000/0000\x07",
        b"\x1b[<0;10;20M",  # a mouse button
        b"\x1b\x1b[15~",
        b"\x03\x1a\x00\t",
    ],
)
def test_unknown_sequences_are_ignored(data: bytes) -> None:
    assert keys_of(data + b"a") == [Key("text", "a")]


def test_text_arrives_in_pieces() -> None:
    assert keys_of(b"a\xe6", b"\xbc", b"\xa2b") == [Key("text", "a"), Key("text", "漢b")]
    assert keys_of(b"\x1b", b"[", b"3", b"~x") == [Key("delete"), Key("text", "x")]


def test_invalid_utf8_is_replaced() -> None:
    assert keys_of(b"a\xff\xfeb") == [Key("text", "a\ufffd\ufffdb")]


def test_pasted_line_breaks_are_text_and_control_characters_are_dropped() -> None:
    assert keys_of(b"\x1b[200~a\rb\r\nc\n\x1b[31md\te\x1b[20", b"1~\r") == [
        Key("paste", "a\nb\nc\n[31md\te"),
        Key("enter"),
    ]


def test_control_sequence_that_breaks_off_ends_at_the_next_control_character() -> None:
    assert keys_of(b"\x1b[12\ra") == [Key("enter"), Key("text", "a")]


def test_escape_key_is_ignored_after_its_timeout() -> None:
    decoder = KeyDecoder()
    assert decoder.timeout is None
    assert decoder.feed(b"\x1b") == []
    assert decoder.timeout == ESCAPE_TIMEOUT
    assert decoder.give_up() == []
    assert decoder.feed(b"[A") == [Key("text", "[A")]


def test_paste_without_an_end_is_taken_after_its_timeout() -> None:
    decoder = KeyDecoder()
    decoder.feed(b"\x1b[200~one\rtwo")
    assert decoder.timeout == PASTE_TIMEOUT
    assert decoder.give_up() == [Key("paste", "one\ntwo")]
    assert decoder.feed(b"\r") == [Key("enter")]


def test_long_paste_is_cut_and_its_end_is_found() -> None:
    decoder = KeyDecoder()
    keys = decoder.feed(b"\x1b[200~" + b"x" * (3 * MAX_PASTE) + b"\x1b[201~a")
    assert [(key.name, len(key.text)) for key in keys] == [("paste", MAX_PASTE), ("text", 1)]


@settings(deadline=None)
@given(st.lists(st.sampled_from(SEQUENCES) | st.characters(), max_size=20), st.lists(st.integers(0, 100), max_size=5))
def test_keys_do_not_depend_on_how_the_bytes_are_cut(parts: list[str], cuts: list[int]) -> None:
    data = "".join(parts).encode("utf-8", "ignore")
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]

    assert joined(keys_of(*pieces)) == joined(keys_of(data))


def joined(keys: list[Key]) -> list[Key]:
    """The keys with adjacent texts as one."""
    result: list[Key] = []
    for key in keys:
        if key.name == "text" and result and result[-1].name == "text":
            result[-1] = Key("text", result[-1].text + key.text)
        else:
            result.append(key)
    return result
