"""The interpretation of replies with calls or text: the message, the calls, the note, and when the job is done."""

from __future__ import annotations

import msgspec
import pytest

from support.replies import COMPLETE, TOOLS, call, calling, context, markup, sent, text
from trioworker.protocol import wire
from trioworker.worker.llm import loop_detection
from trioworker.worker.llm.interpretation import holds_calls, interpret
from trioworker.worker.state.conversation import encode_message

# Tool calls


def test_calls_are_part_of_the_assistant_message() -> None:
    interpretation = interpret(calling(call("a", arguments={"command": "ls"}), call("b", "read_file")), context())
    assert sent(interpretation) == {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "a", "name": "shell", "arguments": {"command": "ls"}},
            {"id": "b", "name": "read_file", "arguments": {}},
        ],
    }
    assert [(planned.call_id, planned.name, planned.arguments) for planned in interpretation.calls] == [
        ("a", "shell", b'{"command":"ls"}'),
        ("b", "read_file", b"{}"),
    ]
    assert not any(planned.refusal for planned in interpretation.calls)
    assert interpretation.finished is None
    assert not interpretation.note


def test_text_beside_calls_is_cleaned_and_shown() -> None:
    interpretation = interpret(calling(call(), content="<thinking>hm</thinking>I look.\n\n\n\nNow."), context())
    assert interpretation.text == sent(interpretation)["content"] == "I look.\n\nNow."


def test_completion_beside_calls_does_not_end_the_job() -> None:
    interpretation = interpret(calling(call(), content=COMPLETE), context())
    assert interpretation.finished is None
    assert interpretation.calls


@pytest.mark.parametrize("finish_reason", ["tool_use", "tool_calls", "stop", None, "eos"])
def test_calls_are_run_for_any_finish_reason_but_length(finish_reason: str | None) -> None:
    reply = wire.Reply(tool_calls=(call(),), finish_reason=finish_reason)
    assert not interpret(reply, context()).calls[0].refusal
    assert holds_calls(reply, TOOLS)


def test_opaque_provider_data_is_returned_byte_for_byte() -> None:
    body = (
        b'{"tool_calls":[{"id":"a","name":"shell","arguments":{},"reasoning":{ "b": 1.50 },"signature":"\\u0041="}],'
        b'"reasoning":"x\\u00e9","reasoning_details":[1,  2],"finish_reason":"tool_calls"}'
    )
    interpretation = interpret(msgspec.json.decode(body, type=wire.Reply), context())
    assert interpretation.said is not None
    assert encode_message(interpretation.said) == (
        b'{"role":"assistant","content":"","tool_calls":[{"id":"a","name":"shell","arguments":{},'
        b'"reasoning":{ "b": 1.50 },"signature":"\\u0041="}],"reasoning":"x\\u00e9","reasoning_details":[1,  2]}'
    )


def test_null_fields_are_not_sent_back() -> None:
    body = (
        b'{"content":"Hm.","reasoning":null,"reasoning_details":null,"tool_calls":[{"id":"a","name":"shell",'
        b'"arguments":null,"reasoning":null,"signature":null,"arguments_parse_error":null}]}'
    )
    interpretation = interpret(msgspec.json.decode(body, type=wire.Reply), context())
    assert sent(interpretation) == {
        "role": "assistant",
        "content": "Hm.",
        "tool_calls": [{"id": "a", "name": "shell", "arguments": None}],
    }
    assert not interpretation.calls[0].refusal


def test_reasoning_of_a_text_is_returned() -> None:
    assert sent(interpret(text("Hm.", reasoning=msgspec.Raw(b'"deep"')), context()))["reasoning"] == "deep"


def test_call_with_arguments_that_are_not_json_is_answered_and_not_run() -> None:
    broken = call(arguments={}, arguments_parse_error="expected `,` at column 9")
    interpretation = interpret(calling(broken, call("b")), context())
    assert interpretation.calls[0].refusal == "invalid parameters: arguments: expected `,` at column 9"
    assert not interpretation.calls[1].refusal
    assert "arguments_parse_error" not in sent(interpretation)["tool_calls"][0]


def test_arguments_of_any_json_type_are_kept() -> None:
    for value in ("text", 3, [1, 2], True, 123456789012345678901234567890, {"a": {"b": None}}):
        interpretation = interpret(calling(call(arguments=value)), context())
        assert msgspec.json.decode(interpretation.calls[0].arguments) == value


def test_calls_of_a_cut_reply_are_not_run() -> None:
    reply = calling(call(arguments={"content": "half"}), call("b"), content="Writing.", finish_reason="length")
    interpretation = interpret(reply, context())
    assert [planned.refusal for planned in interpretation.calls] == [loop_detection.CALL_CUT, loop_detection.CALL_CUT]
    assert len(sent(interpretation)["tool_calls"]) == 2
    assert "cut off" in interpretation.status
    assert not holds_calls(reply, TOOLS)


def test_calls_written_as_text_in_a_cut_reply_are_not_run() -> None:
    reply = text(markup(), "length")
    assert interpret(reply, context()).calls[0].refusal == loop_detection.CALL_CUT
    assert not holds_calls(reply, TOOLS)


def test_call_ids_are_unique_in_the_conversation() -> None:
    reply = calling(call("a"), call("a"), call(""), call(""), call("b"), call("a_0"))
    interpretation = interpret(reply, context(taken=("b", "call_0")))
    ids = [planned.call_id for planned in interpretation.calls]
    assert ids[0] == "a"
    assert len(set(ids)) == 6
    assert all(ids)
    assert not {"b", "call_0"} & set(ids)
    assert [one["id"] for one in sent(interpretation)["tool_calls"]] == ids


def test_call_of_an_unknown_tool_is_a_call_to_answer() -> None:
    assert interpret(calling(call(name="teleport")), context()).calls[0].name == "teleport"


def test_calls_written_as_text_are_recovered() -> None:
    reply = text(f"I look.\n\n{markup()}\n{markup('read_file', '{}')}")
    interpretation = interpret(reply, context(taken=("recovered_0",)))
    assert [planned.call_id for planned in interpretation.calls] == ["recovered_1", "recovered_2"]
    assert interpretation.calls[0].arguments == b'{"command":"ls"}'
    assert interpretation.text == "I look."
    assert [one["name"] for one in sent(interpretation)["tool_calls"]] == ["shell", "read_file"]
    assert holds_calls(reply, TOOLS)


def test_calls_written_as_text_beside_native_calls_are_dropped() -> None:
    interpretation = interpret(calling(call("a"), content=f"Now. {markup()}"), context())
    assert [planned.call_id for planned in interpretation.calls] == ["a"]
    assert interpretation.text == "Now."


@pytest.mark.parametrize("quoted", [f"`{markup()}`", f"```\n{markup()}\n```", f"> {markup()}"])
def test_quoted_call_stays_text(quoted: str) -> None:
    reply = text(f"A call looks like this:\n\n{quoted}")
    interpretation = interpret(reply, context())
    assert not interpretation.calls
    assert quoted in interpretation.text
    assert not holds_calls(reply, TOOLS)


# Text


def test_completion_reports_the_closing_text() -> None:
    closing = "<think>It is done.</think>I fixed the parser.\n\nThe job is complete."
    interpretation = interpret(text(closing), context(output="4 passed"))
    assert interpretation.finished == "I fixed the parser.\n\nThe job is complete."


def test_completion_by_the_agreed_sentence_only_reports_the_last_output() -> None:
    assert interpret(text("**The job is complete.**"), context(output="4 passed")).finished == "4 passed"
    assert interpret(text("The job is complete."), context()).finished == "The job is complete."


def test_last_sentence_that_says_failure_fails_the_job_with_the_text() -> None:
    said = "I looked everywhere. The job cannot be completed: there is no compiler."
    interpretation = interpret(text(said), context(output="x"))
    assert interpretation.failed == said
    assert interpretation.finished is None
    assert sent(interpretation) == {"role": "assistant", "content": said}


def test_failure_in_a_cut_text_or_beside_calls_does_not_fail_the_job() -> None:
    said = "The job cannot be completed with sed"
    assert interpret(text(said, "length"), context()).failed is None
    assert interpret(calling(call(), content=said), context()).failed is None


def test_completion_without_output_reports_the_text() -> None:
    interpretation = interpret(text(COMPLETE), context())
    assert interpretation.finished == COMPLETE
    assert interpretation.text == COMPLETE
    assert sent(interpretation) == {"role": "assistant", "content": COMPLETE}


def test_completion_between_announced_steps_ends_the_job() -> None:
    interpretation = interpret(
        text("I will now run the tests.\n\nThey pass. The job is complete. Next I will call shell."), context()
    )
    assert interpretation.finished is not None
    assert not interpretation.note


def test_early_denial_does_not_veto_the_last_line() -> None:
    said = "The parser was incomplete. " + "I worked on it. " * 200 + "\n\nThe job is complete"
    assert interpret(text(said), context()).finished == said


def test_completion_in_a_cut_text_does_not_end_the_job() -> None:
    interpretation = interpret(text(COMPLETE + " But before that, I", "length"), context())
    assert interpretation.finished is None
    assert interpretation.note == loop_detection.REPLY_CUT
    assert interpretation.status


@pytest.mark.parametrize(
    "content", ["The tests fail since the parser drops a line.", "I will now run the tests with shell."]
)
def test_other_text_is_added_to_the_conversation_only(content: str) -> None:
    interpretation = interpret(text(content), context())
    assert interpretation.text == content
    assert interpretation.said is not None
    assert not interpretation.note
    assert not interpretation.status
    assert interpretation.finished is None


# Two phases


@pytest.mark.parametrize("reply", [text("I would run it."), text(None), text(""), calling()])
def test_reply_without_calls_is_recognized(reply: wire.Reply) -> None:
    assert not holds_calls(reply, TOOLS)
