"""Taking a request apart and putting it together again: to the byte, whatever it is."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from trioworker.cassette.bodies import NOTHING, Bodies, lengthened, shortened
from trioworker.cassette.difference import MAX_LINES, difference

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
def test_what_was_shortened_is_put_together_to_the_byte(sent: list[bytes]) -> None:
    taking, before = Bodies(redact), NOTHING
    for body in sent:
        parts = taking.parts(body)
        kept, rest = shortened(parts, before)
        assert lengthened(kept, rest, before).whole == parts.whole
        assert b"\n" not in rest
        assert SECRET.encode() not in parts.whole
        if SECRET.encode() not in body:
            assert parts.whole == body
        before = parts


@given(st.binary(max_size=60) | bodies.map(lambda body: body.replace(b",", b", \n")))
def test_what_can_not_be_taken_apart_stays_whole(body: bytes) -> None:
    assert Bodies(redact).parts(body).whole == redact(body.decode("utf-8", "replace")).encode() or b"\n" not in body


@given(bodies, bodies)
def test_a_difference_is_shown_and_stays_short(recorded: bytes, sent: bytes) -> None:
    shown = difference(recorded, sent).splitlines()
    assert len(shown) <= MAX_LINES + 1
    assert all(line.isprintable() for line in shown)
    if recorded != sent:
        assert any(line.startswith(("-", "+")) for line in shown)


def test_a_difference_far_to_the_right_is_shown() -> None:
    def body(end: str) -> bytes:
        return msgspec.json.encode({"messages": [{"role": "user", "content": "x" * 5_000 + end}]})

    shown = difference(body("one"), body("two"))
    assert "one" in shown
    assert "two" in shown


def test_a_difference_of_spaces_alone_is_told_by_its_place() -> None:
    shown = difference(b'{"messages":[1]}', b'{"messages": [1]}')
    assert "the same when read, but not the same bytes, from byte 12 on" in shown


def test_what_differs_in_a_long_conversation_is_shown_with_its_message() -> None:
    def body(word: str) -> bytes:
        messages = [{"role": "user", "content": f"number {number}"} for number in range(3_000)]
        messages[2_000]["content"] = f"number\n{word}"
        return msgspec.json.encode({"messages": messages})

    shown = difference(body("one"), body("two"))
    assert "== messages 2001 user" in shown
    assert len(shown.splitlines()) < 20
