"""The forms of calls written as text, beyond the contract's vectors: variants, and what is wrong with a broken call."""

from __future__ import annotations

from typing import Any

import pytest

from support.replies import context, markup, text
from trioworker.worker.llm.call_markup import recover_calls
from trioworker.worker.llm.interpretation import interpret

TOOLS = ("shell", "read_file", "write_file")
BEGIN, END = "<\uff5ctool\u2581call\u2581begin\uff5c>", "<\uff5ctool\u2581call\u2581end\uff5c>"
BEGIN_ALL, END_ALL = "<\uff5ctool\u2581calls\u2581begin\uff5c>", "<\uff5ctool\u2581calls\u2581end\uff5c>"
SEPARATOR = "<\uff5ctool\u2581sep\uff5c>"


def calls(written: str) -> list[tuple[str, Any]]:
    recovery = recover_calls(written, TOOLS, frozenset[str]())
    assert recovery.problems == ()
    assert recovery.rest == ""
    return [(call.name, call.arguments) for call in recovery.calls]


def reasons(written: str) -> list[str]:
    recovery = recover_calls(written, TOOLS, frozenset[str]())
    assert recovery.calls == ()
    return [problem.reason for problem in recovery.problems]


@pytest.mark.parametrize(
    "written",
    [
        '<tool_call>[{"name": "shell", "arguments": {"command": "ls"}}]</tool_call>',
        '<tool_calls>{"tool_calls": [{"name": "shell", "arguments": {"command": "ls"}}]}</tool_calls>',
        '<function_call>{"function_call": {"name": "shell", "arguments": "{\\"command\\": \\"ls\\"}"}}</function_call>',
        '<tool_call>{"tool": "shell", "args": {"command": "ls"}}</tool_call>',
        '<tool_call>{"tool_name": "functions.shell", "parameters": {"command": "ls"}}</tool_call>',
        '<tool_call>shell\n{"command": "ls"}</tool_call>',
        '<tool_call>{"name": "shell", "arguments": {"command": "ls"}}',
        "<tool_call><function=shell><parameter=command>ls</parameter></function></tool_call>",
        "<function=shell>\n<parameter=command>\nls\n</parameter>\n</function>",
        '<function=shell>{"command": "ls"}</function>',
        '<invoke name="shell"><parameter name="command">ls</parameter></invoke>',
        '<ns:function_calls><ns:invoke name="shell"><ns:parameter name="command">ls</ns:parameter></ns:invoke>'
        "</ns:function_calls>",
        "<tool_call>shell<arg_key>command</arg_key><arg_value>ls</arg_value></tool_call>",
        '[TOOL_CALLS]shell{"command": "ls"}',
        '[TOOL_CALLS]shell[ARGS]{"command": "ls"}',
        '<|python_tag|>{"type": "function", "name": "shell", "parameters": {"command": "ls"}}<|eom_id|>',
        f'{BEGIN_ALL}{BEGIN}shell{SEPARATOR}{{"command": "ls"}}{END}{END_ALL}',
        f'{BEGIN_ALL}{BEGIN}function{SEPARATOR}shell\n```json\n{{"command": "ls"}}\n```{END}',
        '<|channel|>commentary to=functions.shell <|constrain|>json<|message|>{"command": "ls"}<|call|>',
        '<|start|>assistant to=functions.shell<|channel|>commentary json<|message|>{"command": "ls"}',
    ],
)
def test_form_of_a_call_is_recovered(written: str) -> None:
    assert calls(written) == [("shell", {"command": "ls"})]


@pytest.mark.parametrize(
    "written",
    [
        '[TOOL_CALLS]shell{"command": "a"}[TOOL_CALLS]shell{"command": "b"}',
        '<|python_tag|>{"name": "shell", "parameters": {"command": "a"}}; '
        '{"name": "shell", "parameters": {"command": "b"}}',
        '<function_calls><invoke name="shell"><parameter name="command">a</parameter></invoke>\n'
        '<invoke name="shell"><parameter name="command">b</parameter></invoke></function_calls>',
        f'{BEGIN_ALL}{BEGIN}shell{SEPARATOR}{{"command": "a"}}{END}\n'
        f'{BEGIN}shell{SEPARATOR}{{"command": "b"}}{END}{END_ALL}',
    ],
)
def test_several_calls_in_one_form_are_recovered_in_order(written: str) -> None:
    assert calls(written) == [("shell", {"command": "a"}), ("shell", {"command": "b"})]


def test_value_of_a_parameter_may_contain_markup_and_code() -> None:
    value = "```\n<think>\n</parameter> <b>\n```"
    written = f"<function=write_file><parameter=path>a</parameter><parameter=content>\n{value}\n</parameter></function>"
    assert calls(written) == [("write_file", {"path": "a", "content": value})]


def test_value_on_one_line_keeps_its_last_newline() -> None:
    written = '<invoke name="write_file"><parameter name="content">one\n</parameter></invoke>'
    assert calls(written) == [("write_file", {"content": "one\n"})]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ('<tool_call>{"name": "shell",}</tool_call>', "it is not valid JSON: "),
        ('<tool_call>{"name": "shell", "arguments": "ls"}</tool_call>', "the arguments of shell are not a JSON object"),
        ('<tool_call>{"arguments": {}}</tool_call>', 'must have a "name"'),
        ("<tool_call>[1]</tool_call>", "a call is a JSON object"),
        ('<tool_call>{"name": "shell", "arguments": NaN}</tool_call>', "NaN is not a JSON value"),
        ('<tool_call>{"name": "shell", "arguments": {"command": "\\ud800"}}</tool_call>', "surrogate"),
        ('<tool_call>{"name": "shell", "arguments": ' + "9" * 5000 + "}</tool_call>", "it is not valid JSON"),
        ("<tool_call>shell(command='ls')</tool_call>", "neither JSON nor a known form of a call: shell(command='ls')"),
        ("<tool_call>{'name': 'shell'}</tool_call>", "it is not valid JSON"),
        ("<function=shell><parameter=command>ls</function>", "the parameter command of shell has no closing tag"),
        ("<function=shell>ls</function>", "the call to shell has text outside its parameters: ls"),
        ("<function=shell><parameter=command>ls", "the <function> has no closing tag"),
        ("<tool_call>shell<arg_key>command</arg_key><arg_value>ls</tool_call>", "without a complete <arg_value>"),
        ("[TOOL_CALLS] [{]", "it is not valid JSON"),
        ("<|python_tag|>print(1)", "neither JSON nor a known form"),
        (f"{BEGIN_ALL}{BEGIN}shell", "part of the call is missing"),
        ("<|channel|>commentary to=functions.shell<|message|>ls<|call|>", "the arguments of shell are not a JSON"),
        ("<|channel|>commentary to=functions.python<|message|>{}<|call|>", "tool 'python' not found"),
        ("<tool_calls></tool_calls>", "neither JSON nor a known form"),
    ],
)
def test_broken_call_is_explained(written: str, reason: str) -> None:
    (given,) = reasons(written)
    assert reason in given


def test_unknown_tool_is_answered_with_the_known_ones() -> None:
    assert reasons(markup("bash")) == ["tool 'bash' not found; the tools are shell, read_file, write_file"]


def test_prose_about_the_mistral_token_is_left_unchanged() -> None:
    written = "The token [TOOL_CALLS] starts a call, and [TOOL_CALLS] again."
    recovery = recover_calls(written, TOOLS, frozenset[str]())
    assert (recovery.rest, recovery.problems) == (written, ())


def test_each_call_of_a_reply_is_run_or_answered_with_what_is_wrong() -> None:
    reply = text(f"{markup()}<tool_call>{{</tool_call>{markup('teleport')}")
    interpretation = interpret(reply, context(taken=("recovered_0",)))
    assert [(planned.call_id, planned.name) for planned in interpretation.calls] == [
        ("recovered_1", "shell"),
        ("recovered_2", "unreadable_call"),
        ("recovered_3", "teleport"),
    ]
    runs, broken, unknown = interpretation.calls
    assert not runs.refusal
    assert "not valid JSON" in broken.refusal
    # The executor answers it like any call to an unknown tool.
    assert not unknown.refusal
    assert not interpretation.note
