"""The script of a simulated model, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trioworker.testing import DONE, SimulatedOrchestrator, Turn, call, reply, say

ANYTHING: Any = None


def test_said_text_has_no_calls() -> None:
    turn = say("Nearly there.", delay=0.5, input_tokens=7)
    assert (turn.content, turn.tool_calls, turn.delay, turn.input_tokens) == ("Nearly there.", (), 0.5, 7)


def test_call_has_its_keywords_as_arguments_and_no_text() -> None:
    turn = call("apply_patch", {"class": 1}, path="a.py")
    assert [(one.name, one.arguments) for one in turn.tool_calls] == [("apply_patch", {"class": 1, "path": "a.py"})]
    assert turn.content is None


def test_reply_joins_its_calls_in_order() -> None:
    turn = reply(call("glob"), reply(call("grep"), call("shell")), text="I look.", finish_reason="length")
    assert [one.name for one in turn.tool_calls] == ["glob", "grep", "shell"]
    assert (turn.content, turn.finish_reason) == ("I look.", "length")


def wrong(function: Any, *arguments: object, **options: object) -> str:
    """The message for a call with wrong arguments."""
    with pytest.raises(TypeError) as caught:
        function(*arguments, **options)
    return str(caught.value)


def test_text_of_the_wrong_type_is_named_in_the_error() -> None:
    assert wrong(say, 5) == "say: Expected `str | null`, got `int` - at `$.content`"


def test_negative_delay_is_named_in_the_error() -> None:
    assert wrong(say, "x", delay=-1) == "say: Expected `float` >= 0.0 - at `$.delay`"


def test_unknown_option_is_named_in_the_error() -> None:
    assert wrong(reply, call("x"), dely=1) == "reply: Object contains unknown field `dely`"


def test_arguments_that_are_not_json_are_refused_when_the_script_is_written() -> None:
    message = wrong(call, "read_file", path=Path("a.py"))
    assert message.startswith("call: the arguments of read_file are not JSON: ")
    assert "Path" in message


def test_text_among_the_calls_of_a_reply_is_refused() -> None:
    assert wrong(reply, call("glob"), "I look.") == (
        "reply: item 2, 'I look.', is not a turn; make it with call(…), say(…) or reply(…)"
    )
    assert wrong(reply, call("glob"), say("I look.")) == "reply: positional arguments are calls; pass text as text=…"


@pytest.mark.parametrize("script", [["The job is complete."], [DONE, call]], ids=["text", "a function"])
def test_item_that_is_not_a_turn_is_refused_when_the_orchestrator_is_created(script: list[Any]) -> None:
    message = wrong(SimulatedOrchestrator, script)
    assert message.startswith(f"script: item {len(script)}, ")
    assert message.endswith(" is not a turn; make it with call(…), say(…) or reply(…)")
    assert "\n" not in message


@pytest.mark.parametrize("script", [DONE, "The job is complete."], ids=["a turn", "text"])
def test_script_that_is_not_a_list_is_refused(script: Any) -> None:
    assert "is not a list of turns; write [call(" in wrong(SimulatedOrchestrator, script)


def test_replaced_script_is_checked_as_well() -> None:
    orchestrator = SimulatedOrchestrator()
    wrong_script: Any = ["The job is complete."]
    with pytest.raises(TypeError, match="script: item 1"):
        orchestrator.script = wrong_script
    orchestrator.script = (say("No."),)
    assert [type(turn) for turn in orchestrator.script] == [Turn]
