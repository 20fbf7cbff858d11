"""Cleaning, call recovery and completion signals never fail on any text, and take linear time."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.foreign import ANY_TEXT, FRAGMENTS, MARKUP
from fuzz.profile import fuzzing
from linear_time import assert_linear
from trioworker.protocol.limits import MAX_CALLS, MAX_DEPTH, MAX_ID_BYTES, MAX_NAME_BYTES
from trioworker.protocol.text import says_only_that_it_is_complete, signals_completion, signals_failure, truncate
from trioworker.protocol.wire import ToolCall
from trioworker.worker.llm.call_limits import clamp_calls
from trioworker.worker.llm.call_markup import clean, pieces, recover_calls

KNOWN = ("shell", "read_file")
TAKEN = frozenset({"recovered_0", "recovered_3"})


@fuzzing(2.0)
@given(MARKUP)
@example('<tool_call>{"name": "shell", "arguments": {"command": "\ud800"}}</tool_call>')
@example("<tool_call>{" + "[" * 2000 + "</tool_call>")
def test_cleaning_and_recovery_accept_any_text(text: str) -> None:
    recovery = recover_calls(text, KNOWN, TAKEN)
    assert recovery.rest == clean(text)
    assert "\n\n\n" not in clean(text) or "`" in text or "~" in text or ">" in text
    assert {call.name for call in recovery.calls} <= set(KNOWN)
    ids = [call.id for call in recovery.calls]
    assert len({*ids, *TAKEN}) == len(ids) + len(TAKEN)
    # All dropped text is a call that runs, a call that is explained, or a thought.
    assert recovery.rest or recovery.calls or recovery.problems or recovery.has_thoughts or not _says(text)


def _says(text: str) -> bool:
    """Whether the text has more than whitespace and marks of channels."""
    return bool(re.sub(r"<\|[^>]*>|assistant", "", text).strip())


@fuzzing()
@given(MARKUP)
def test_pieces_are_in_order_and_part_of_the_text(text: str) -> None:
    at = 0
    for piece in pieces(text):
        at = text.find(piece.text, at)
        assert at >= 0
        at += len(piece.text)


@fuzzing()
@given(MARKUP)
def test_quoted_text_contains_no_calls(text: str) -> None:
    quoted = "\n".join("> " + line for line in text.split("\n"))
    assert recover_calls(quoted, KNOWN, TAKEN).calls == ()
    fence = "`" * (text.count("`") + 3)
    assert recover_calls(f"{fence}\n{text}\n{fence}", KNOWN, TAKEN).calls == ()


@fuzzing()
@given(ANY_TEXT | MARKUP)
def test_completion_signal_accepts_any_text(text: str) -> None:
    assert isinstance(signals_completion(text), bool)
    assert isinstance(signals_failure(text), bool)
    assert isinstance(says_only_that_it_is_complete(text), bool)


@fuzzing()
@given(ANY_TEXT, st.integers(0, 80))
def test_truncate_keeps_a_prefix_of_whole_characters(text: str, limit: int) -> None:
    truncated = truncate(text, limit)
    if truncated != text:
        kept = truncated.removesuffix("...")
        assert len(kept.encode()) <= limit
        assert text.encode("utf-8", "replace").decode().startswith(kept)


@fuzzing(0.1)
@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=4).map("".join))
def test_any_repeated_text_takes_linear_time(unit: str) -> None:
    assert_linear(clean, unit)
    assert_linear(lambda text: recover_calls(text, KNOWN, TAKEN), unit)
    assert_linear(signals_completion, unit)


calls = st.builds(
    ToolCall,
    id=st.sampled_from(["", "a", "call_0", "\u00e9" * MAX_ID_BYTES]) | st.text(max_size=400),
    name=st.text(max_size=200),
    arguments=st.integers(0, 2 * MAX_DEPTH).map(lambda depth: _nested(depth)),
)


@fuzzing()
@given(st.lists(calls, max_size=MAX_CALLS + 10), st.frozensets(st.sampled_from(["a", "call_0", "a_0"])))
def test_clamped_calls_are_within_the_limits(given_calls: list[ToolCall], taken: frozenset[str]) -> None:
    clamped = clamp_calls(given_calls, taken)
    assert len(clamped) == min(len(given_calls), MAX_CALLS)
    ids = [call.id for call in clamped]
    assert len({*ids, *taken}) == len(ids) + len(taken)
    for before, after in zip(given_calls, clamped, strict=False):
        assert 0 < len(after.id.encode()) <= MAX_ID_BYTES + len("_00")
        assert len(after.name.encode()) <= MAX_NAME_BYTES + len("...")
        assert after.arguments == before.arguments or after.arguments_parse_error


def _nested(depth: int) -> object:
    value: object = 1
    for number in range(depth):
        value = [value] if number % 2 else {"a": value}
    return value
