"""Splitting request bodies and restoring them, to the byte, and the diff of two of them."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from trioworker.cassette.bodies import NO_PARTS, BodySplitter, restore, shorten
from trioworker.cassette.request_diff import MAX_LINES, diff_requests

SECRET = "s3cret-value"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.just(f"a {SECRET}\n")
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
bodies = st.fixed_dictionaries(
    {"messages": st.lists(values, max_size=6)}, optional={"tools": values, "max_tokens": st.integers(0, 9), "x": texts}
).map(msgspec.json.encode)


def redact(text: str) -> str:
    return text.replace(SECRET, "[GONE]")


@given(st.lists(bodies, min_size=1, max_size=4))
def test_shortened_body_is_restored_byte_for_byte(sent: list[bytes]) -> None:
    splitter, before = BodySplitter(redact), NO_PARTS
    for body in sent:
        parts = splitter.split(body)
        kept, rest = shorten(parts, before)
        assert restore(kept, rest, before).whole == parts.whole
        assert b"\n" not in rest
        assert SECRET.encode() not in parts.whole
        if SECRET.encode() not in body:
            assert parts.whole == body
        before = parts


@given(st.binary(max_size=60) | bodies.map(lambda body: body.replace(b",", b", \n")))
def test_body_that_is_not_an_object_with_messages_stays_whole(body: bytes) -> None:
    assert (
        BodySplitter(redact).split(body).whole == redact(body.decode("utf-8", "replace")).encode() or b"\n" not in body
    )


@given(bodies, bodies)
def test_diff_shows_a_difference_and_stays_short(recorded: bytes, sent: bytes) -> None:
    shown = diff_requests(recorded, sent).splitlines()
    assert len(shown) <= MAX_LINES + 1
    assert all(line.isprintable() for line in shown)
    if recorded != sent:
        assert any(line.startswith(("-", "+")) for line in shown)


def test_diff_shows_a_difference_far_to_the_right() -> None:
    def body(end: str) -> bytes:
        return msgspec.json.encode({"messages": [{"role": "user", "content": "x" * 5_000 + end}]})

    shown = diff_requests(body("one"), body("two"))
    assert "one" in shown
    assert "two" in shown


def test_diff_of_bodies_that_differ_only_in_spaces_gives_the_offset() -> None:
    shown = diff_requests(b'{"messages":[1]}', b'{"messages": [1]}')
    assert "equal as JSON, but the bytes differ from byte 12" in shown


def test_diff_of_a_long_conversation_shows_the_heading_of_the_message() -> None:
    def body(word: str) -> bytes:
        messages = [{"role": "user", "content": f"number {number}"} for number in range(3_000)]
        messages[2_000]["content"] = f"number\n{word}"
        return msgspec.json.encode({"messages": messages})

    shown = diff_requests(body("one"), body("two"))
    assert "== messages 2001 user" in shown
    assert len(shown.splitlines()) < 20
