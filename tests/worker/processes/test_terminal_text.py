"""The output of a command as a terminal would show it at the end."""

from __future__ import annotations

import time

import pytest

from linear_time import assert_linear
from trioworker.protocol.limits import MIB
from trioworker.worker.processes.terminal_text import MAX_MOVES, terminal_text


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("plain\n\ttext\n", "plain\n\ttext\n"),
        ("\x1b[1;31mred\x1b[0m and \x1b[38;5;12mblue\x1b[m", "red and blue"),
        ("\x1b]0;the title\x07prompt", "prompt"),
        ("\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1;2|data\x1b\\after", "after"),
        ("\x1b(B\x1b)0text\x1b7\x1b8\x1b=\x1bc", "text"),
        ("\x9b31mred", "red"),
        ("\x1b]0;no end\nnext", "0;no end\nnext"),
        ("cut\x1b[", "cut"),
        ("cut\x1b", "cut"),
        ("bell\x07", "bell"),
        ("Grüße \x1b[1m😀\x1b[0m", "Grüße 😀"),
    ],
)
def test_escape_sequences_are_removed(output: str, shown: str) -> None:
    assert terminal_text(output.encode()) == shown


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        (" 10%\r 50%\r100%\n", "100%\n"),
        ("done\r\nnext\r\r\n", "done\nnext\n"),
        ("downloading\r\x1b[Kok", "ok"),
        ("downloading\x1b[2Kok", "ok"),
        ("downloading\x1b[1Gok", "okwnloading"),
        ("abcdef\rxy", "xycdef"),
        ("b\bbo\bol\bld\bd", "bold"),
        ("-\b\\\b|\b/\b \bdone", "done"),
        ("\b\bok", "ok"),
        ("abcd\b\b\bxy", "axyd"),
        ("abcd\x1b[1D\x1b[Dxy", "abxy"),
        ("abcd\x9b3Dxy", "xycd"),
        ("abcd\x1b[1K\x1b[7G", "abcd"),
        ("abcd\r\x1b[0K\x1b[Kx", "x"),
        ("padded      \rok          ", "ok"),
        ("last\r", "last"),
        ("a\rb\nc\rd\n", "b\nd\n"),
    ],
)
def test_rewritten_lines_are_shown_in_their_last_state(output: str, shown: str) -> None:
    assert terminal_text(output.encode()) == shown


def test_only_the_last_moves_of_a_line_are_carried_out() -> None:
    output = "abcdef\r" + "xyz\r" * MAX_MOVES
    assert terminal_text(output.encode() + b"end") == "end"
    assert terminal_text(output.encode()[4:] + b"end") == "end"


@pytest.mark.parametrize("unit", ["\b", "ab\b", "a\r", "\x1b[K", "\x1b", "\x1b]x", "\x9b", "q\r\x1b[K", "\x1b[5D"])
def test_controls_take_less_than_10_seconds_for_8_mib(unit: str) -> None:
    size = 2 * MIB
    data = unit.encode() * (size // len(unit.encode()))
    start = time.thread_time()
    terminal_text(data)
    assert time.thread_time() - start < 10 * size / (8 * MIB)


def test_secret_interrupted_by_a_colour_is_in_one_piece() -> None:
    assert terminal_text(b"ghp_\x1b[1mabc\x1b[0mdef") == "ghp_abcdef"


def test_items_that_nul_separates_are_lines() -> None:
    assert terminal_text(b"a first name.txt\0another name.txt\0") == "a first name.txt\nanother name.txt\n"


@pytest.mark.parametrize("data", [bytes(range(256)) * 4, b"\0" * 1024, b"\x7fELF\2\1\1" + b"\0\xfe" * 500])
def test_binary_output_is_replaced_by_its_size(data: bytes) -> None:
    assert terminal_text(data) == f"binary, {len(data)} bytes"


def test_text_before_and_after_binary_output_is_kept() -> None:
    text = b"a line of the log\n" * 4096
    shown = terminal_text(text + bytes(range(256)) * 400 + b"\n" + text)
    head, _, tail = shown.partition("binary, ")
    assert head.startswith("a line of the log\n")
    assert tail.endswith("\na line of the log\n")


def test_latin_1_is_text_with_replacement_characters() -> None:
    assert terminal_text("Schöne Grüße".encode("latin-1")) == "Sch\ufffdne Gr\ufffd\ufffde"


@pytest.mark.parametrize(
    "unit", ["\x1b]", "\x1b[1;", "\r", "a\b", "x\x1b[2K", "abc\x1b[K\r", "\x9d", "\x1b]0;a", "\x1b(", "a\r\r"]
)
def test_hostile_output_takes_linear_time(unit: str) -> None:
    assert_linear(lambda text: terminal_text(text.encode()), unit)
