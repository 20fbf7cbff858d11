"""The turn is selected from the conversation only."""

from __future__ import annotations

import pytest

from trioworker.orchestrator.backends.script import ScriptedCall, ScriptError, Turn, answer
from trioworker.protocol.wire import INTERRUPTED, Message, Reply, ToolCall

ASK = (Message(role="system", content="You are"), Message(role="user", content="fix it"))


def calling(
    *names: str, content: str | None = None, finish_reason: str | None = None, expect: str | None = None
) -> Turn:
    """A turn with calls."""
    calls = tuple(ScriptedCall(name=name, arguments={"path": name}) for name in names)
    return Turn(content=content, tool_calls=calls, finish_reason=finish_reason, expect=expect)


def continued(messages: tuple[Message, ...], reply: Reply, *results: str) -> tuple[Message, ...]:
    """The conversation after a reply and the results of its calls."""
    calls = reply.tool_calls or ()
    message = Message(role="assistant", content=reply.content or "", tool_calls=calls or None)
    tool_results = [
        Message(role="tool", content=text, tool_call_id=call.id, name=call.name)
        for call, text in zip(calls, results, strict=True)
    ]
    return (*messages, message, *tool_results)


def ids(reply: Reply) -> list[str]:
    return [call.id for call in reply.tool_calls or ()]


def test_the_first_turn_answers_a_new_conversation() -> None:
    reply, delay = answer([Turn(content="hello", delay=1.5, input_tokens=7, output_tokens=3)], ASK)

    assert (reply.content, reply.ended_by, reply.input_tokens, reply.output_tokens) == ("hello", "stop", 7, 3)
    assert delay == 1.5


def test_a_repeated_request_gets_the_same_reply() -> None:
    turns = [calling("a", "b"), Turn(content="end")]

    assert answer(turns, ASK) == answer(turns, ASK)


def test_each_reply_advances_the_script_by_one_turn() -> None:
    turns = [Turn(content="one"), calling("two"), Turn(content="three")]
    messages = continued(ASK, answer(turns, ASK).reply)
    second = answer(turns, messages).reply
    third = answer(turns, continued(messages, second, "fine")).reply

    assert second.ended_by == "tool_use"
    assert [(call.name, call.arguments) for call in second.tool_calls or ()] == [("two", {"path": "two"})]
    assert third.content == "three"


def test_ids_differ_between_turns_and_calls() -> None:
    turns = [calling("a", "b"), calling("a")]
    first = answer(turns, ASK).reply
    second = answer(turns, continued(ASK, first, "1", "2")).reply

    assert len({*ids(first), *ids(second)}) == 3


def test_only_an_interrupted_call_is_repeated_under_a_new_id() -> None:
    turns = [calling("a", "b", "c", content="all three"), Turn(content="end")]
    first = answer(turns, ASK).reply
    messages = continued(ASK, first, "fine", f"Error: {INTERRUPTED}", "fine")
    repeated = answer(turns, messages).reply

    assert [call.name for call in repeated.tool_calls or ()] == ["b"]
    assert not {*ids(repeated)} & {*ids(first)}
    assert answer(turns, continued(messages, repeated, "fine")).reply.content == "end"


def test_a_call_interrupted_twice_gets_a_third_id() -> None:
    turns = [calling("a", "b"), Turn(content="end")]
    first = answer(turns, ASK).reply
    messages = continued(ASK, first, INTERRUPTED, INTERRUPTED)
    second = answer(turns, messages).reply
    messages = continued(messages, second, "fine", INTERRUPTED)
    third = answer(turns, messages).reply

    assert [call.name for call in third.tool_calls or ()] == ["b"]
    assert len({*ids(first), *ids(second), *ids(third)}) == 5
    assert answer(turns, continued(messages, third, "fine")).reply.content == "end"


def test_a_long_output_that_quotes_the_message_is_not_an_interruption() -> None:
    turns = [calling("a"), Turn(content="end")]
    quoting = f"design.md: {INTERRUPTED} " + "x" * 1000

    assert answer(turns, continued(ASK, answer(turns, ASK).reply, quoting)).reply.content == "end"


def test_an_interrupted_call_recovered_from_text_is_repeated_as_text() -> None:
    turns = [Turn(content="<tool_call>list_dir</tool_call>"), Turn(content="end")]
    foreign = calling("list_dir").tool_calls[0]
    messages = (
        *ASK,
        Message(role="assistant", content="", tool_calls=(_foreign(foreign),)),
        Message(role="tool", content=INTERRUPTED, tool_call_id="recovered_0"),
    )

    assert answer(turns, messages).reply.content == "<tool_call>list_dir</tool_call>"


def _foreign(call: ScriptedCall) -> ToolCall:
    """A call with an id that isn't from the script."""
    return ToolCall(id="recovered_0", name=call.name, arguments=call.arguments)


def test_the_position_is_known_if_the_start_of_the_conversation_was_dropped() -> None:
    turns = [Turn(content="one"), Turn(content="two"), calling("three"), Turn(content="four")]
    third = answer(turns, continued(continued(ASK, Reply(content="one")), Reply(content="two"))).reply
    shortened = continued(ASK, third, "fine")

    assert answer(turns, shortened).reply.content == "four"


def test_after_the_last_turn_the_error_says_what_to_do() -> None:
    turns = [Turn(content="only")]

    with pytest.raises(ScriptError, match=r"no turn 2: .* after its 1; .*The job is complete"):
        answer(turns, continued(ASK, answer(turns, ASK).reply))


def test_an_expectation_is_matched_only_against_results_since_the_previous_turn() -> None:
    turns = [calling("a", "b"), calling("c", expect="^first"), Turn(content="end", expect="first")]
    messages = continued(ASK, answer(turns, ASK).reply, "first result", "second result")
    messages = (*messages, Message(role="user", content="by the way"))
    second = answer(turns, messages).reply

    with pytest.raises(ScriptError, match=r"turn 3 of the script expects /first/, which is not in: …third"):
        answer(turns, continued(messages, second, "third result"))


def test_an_expectation_includes_the_results_of_repeated_calls() -> None:
    turns = [calling("a", "b"), Turn(content="end", expect="(?s)result of a.*result of b")]
    first = answer(turns, ASK).reply
    messages = continued(ASK, first, "result of a", INTERRUPTED)
    repeated = answer(turns, messages).reply

    assert answer(turns, continued(messages, repeated, "result of b")).reply.content == "end"


def test_an_explicit_finish_reason_is_kept() -> None:
    assert answer([calling("a", finish_reason="length")], ASK).reply.ended_by == "length"


def test_a_turn_with_only_calls_is_an_error_for_a_text_request() -> None:
    with pytest.raises(ScriptError, match=r"turn 1 .* text only"):
        answer([calling("a")], ASK, tools=False)


def test_a_turn_with_text_and_calls_gives_its_text_to_a_text_request() -> None:
    reply = answer([calling("a", content="I will look")], ASK, tools=False).reply

    assert (reply.content, reply.tool_calls, reply.ended_by) == ("I will look", (), "stop")
