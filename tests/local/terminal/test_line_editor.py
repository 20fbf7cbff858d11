"""Editing a line."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trioworker.local.terminal.line_editor import MAX_CHARACTERS, LineEditor
from trioworker.observability.terminal_text import columns_of

LEFT, RIGHT, UP, DOWN, DELETE = b"\x1b[D", b"\x1b[C", b"\x1b[A", b"\x1b[B", b"\x1b[3~"
HOME, END, TO_END, TO_START, WORD, BACKSPACE = b"\x01", b"\x05", b"\x0b", b"\x15", b"\x17", b"\x7f"
END_OF_INPUT = b"\x04"
PASTE = b"\x1b[200~%s\x1b[201~"
KEYS = [LEFT, RIGHT, UP, DOWN, DELETE, HOME, END, TO_END, TO_START, WORD, BACKSPACE, b"\r", b"\x0c", b"\x1b"]


def edited(*data: bytes) -> LineEditor:
    editor = LineEditor()
    for each in data:
        editor.feed(each)
    return editor


def shown(editor: LineEditor) -> str:
    """The text, with the cursor as a bar."""
    return f"{editor.text[: editor.cursor]}|{editor.text[editor.cursor :]}"


@pytest.mark.parametrize(
    ("data", "end"),
    [
        ([b"abc", LEFT, b"x"], "abx|c"),
        ([b"abc", LEFT, LEFT, LEFT, LEFT, RIGHT], "a|bc"),
        ([b"abc", RIGHT], "abc|"),
        ([b"abc", HOME, b"x", END, b"y"], "xabcy|"),
        ([b"abc", LEFT, BACKSPACE], "a|c"),
        ([b"abc", HOME, BACKSPACE, DELETE], "|bc"),
        ([b"abc", DELETE], "abc|"),
        ([b"abc", HOME, END_OF_INPUT], "|bc"),
        ([b"one two", LEFT, TO_START], "|o"),
        ([b"one two", HOME, RIGHT, TO_END], "o|"),
        ([b"one two  ", WORD], "one |"),
        ([b"one", WORD, WORD], "|"),
        (["grüße 漢字".encode(), BACKSPACE, LEFT], "grüße |漢"),
        ([b"a", PASTE % b"1\r2", b"b"], "a1\n2b|"),
    ],
)
def test_keys_edit_the_line(data: list[bytes], end: str) -> None:
    assert shown(edited(*data)) == end


def test_enter_finishes_a_line_and_blank_lines_are_left_out() -> None:
    editor = LineEditor()
    assert editor.feed(b"  one  \r\n \rtwo\rthr") == ["one", "two"]
    assert shown(editor) == "thr|"


def test_pasted_lines_become_one_line_when_enter_is_pressed() -> None:
    editor = LineEditor()
    assert editor.feed(PASTE % b"one\rtwo\r") == []
    assert editor.feed(b"\r") == ["one\ntwo"]


def test_earlier_lines_are_recalled_and_the_new_one_is_kept() -> None:
    editor = edited(b"first\rsecond\rsecond\rnew")
    texts: list[str] = []
    for key in (UP, UP, UP, DOWN, DOWN, DOWN):
        editor.feed(key)
        texts.append(editor.text)
    assert texts == ["second", "first", "first", "second", "new", "new"]


def test_a_recalled_line_is_sent_as_edited() -> None:
    editor = edited(b"first\r", UP)
    assert editor.feed(b"!\r") == ["first!"]
    editor.feed(UP)
    assert editor.text == "first!"


def test_ctrl_d_on_an_empty_line_ends_the_input() -> None:
    editor = edited(b"ab", BACKSPACE, BACKSPACE, END_OF_INPUT)
    assert editor.ended
    assert editor.feed(b"more\r") == []


def test_ctrl_l_asks_to_draw_the_line_anew() -> None:
    assert edited(b"a\x0c").redraw


def test_a_line_has_a_limit() -> None:
    editor = edited(b"x" * (MAX_CHARACTERS - 1), b"yz", b"z")
    assert len(editor.text) == MAX_CHARACTERS
    assert editor.text.endswith("xy")


@pytest.mark.parametrize(
    ("data", "width", "part"),
    [
        ([b"short"], 10, ("short", 5)),
        ([b"123456789"], 10, ("123456789", 9)),
        ([b"1234567890"], 10, ("…567890", 7)),
        ([b"1234567890", HOME], 10, ("1234567890", 0)),
        ([b"1234567890", HOME], 9, ("12345678…", 0)),
        ([b"1234567890abcdef", LEFT, LEFT], 10, ("…90abcdef", 7)),
        (["漢字漢字漢字".encode()], 10, ("…字漢字", 7)),
        ([PASTE % b"a\rb\tc"], 10, ("a⏎b c", 5)),
        ([PASTE % "a\u202eb".encode()], 10, ("a\\u202eb", 8)),
        ([b"anything"], 3, ("", 0)),
    ],
)
def test_the_part_around_the_cursor_is_shown(data: list[bytes], width: int, part: tuple[str, int]) -> None:
    assert edited(*data).render(width) == part


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(KEYS)
        | st.text(st.characters(codec="utf-8"), max_size=8).map(str.encode)
        | st.binary(max_size=4),
        max_size=40,
    )
)
@example([b"\x1b[200~", b"\x1b[201", b"~", UP, DOWN])
def test_no_input_breaks_the_editor(parts: list[bytes]) -> None:
    editor = LineEditor()
    for part in parts:
        for line in editor.feed(part):
            assert line == line.strip() != ""
        assert 0 <= editor.cursor <= len(editor.text)
        for width in (4, 7, 40):
            text, column = editor.render(width)
            assert columns_of(text) <= width
            assert 0 <= column < width
            assert text.isprintable() or not editor.text.isprintable()
            assert "\x1b" not in text
            assert "\n" not in text
