"""Cleaning and call recovery, beyond the contract's vectors: quoted, nested and unclosed markup."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linear_time import assert_linear
from trioworker.errors import InvalidParametersError
from trioworker.worker.llm.call_markup import clean, recover_calls
from trioworker.worker.tools.arguments import parse_arguments
from trioworker.worker.tools.base import Parameters

TOOLS = ("shell", "read_file", "write_file")
NONE_TAKEN: frozenset[str] = frozenset()
CALL = "<tool_call>shell</tool_call>"


def names(text: str) -> list[str]:
    return [call.name for call in recover_calls(text, TOOLS, NONE_TAKEN).calls]


@pytest.mark.parametrize(
    "text",
    [
        f"~~~\n{CALL}\n~~~",
        f"```xml\n{CALL}\n```\nSo it is.",
        f"````\n```\n{CALL}\n```\n````",
        f"```\n~~~\n{CALL}\n```",
        f"1. Write this:\n\n    ```\n    {CALL}\n    ```",
        f"- ```\n  {CALL}\n  ```",
        f"```\nnever closed\n{CALL}",
        f"``{CALL}``",
        f"`` ` {CALL} ``",
        f"`a\n{CALL} b`",
        f"   > {CALL}",
        f"- > {CALL}",
        f"> ```\n> {CALL}\n> ```",
        f"```\n\n\n\n{CALL}\n```",
    ],
)
def test_quoted_markup_is_left_unchanged(text: str) -> None:
    recovery = recover_calls(text, TOOLS, NONE_TAKEN)
    assert recovery.calls == ()
    assert recovery.rest == text.strip()


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (f"```\ncode\n```\n{CALL}", "```\ncode\n```"),
        (f"> quoted\n{CALL}", "> quoted"),
        (f"a ` of its own\n\n{CALL}\n\nand another ` there", "a ` of its own\n\nand another ` there"),
        (f"- a ` in one item\n- {CALL} and ` in the next", "- a ` in one item\n-  and ` in the next"),
        (f"\\`{CALL}\\`", "\\`\\`"),
        (f"one `` two {CALL} ` three", "one `` two  ` three"),
        (f"```not`a fence\n{CALL}", "```not`a fence"),
        (f"<thinking>an odd ` here</thinking>{CALL} and ` there", "and ` there"),
        (f"```\n    ```\n```\n{CALL}", "```\n    ```\n```"),
    ],
)
def test_markup_outside_of_quotations_is_a_call(text: str, rest: str) -> None:
    recovery = recover_calls(text, TOOLS, NONE_TAKEN)
    assert [call.name for call in recovery.calls] == ["shell"]
    assert recovery.rest == rest


def test_line_starts_after_the_blocks_that_precede_it() -> None:
    assert names(f"<thinking>hm</thinking>> {CALL}") == []
    assert names(f"Text\n <thinking>a</thinking><thinking>b</thinking>```\n{CALL}\n```") == []
    assert names(f"Text <thinking>a</thinking>> {CALL}") == ["shell"]


def test_calls_in_thoughts_are_dropped() -> None:
    recovery = recover_calls(f"<thinking>I could {CALL}</thinking>No.", TOOLS, NONE_TAKEN)
    assert (recovery.calls, recovery.rest) == ((), "No.")


def test_calls_in_a_list_of_calls_are_recovered() -> None:
    text = f"<tool_calls>\n{CALL}\n<tool_call>read_file</tool_call>\n</tool_calls>"
    assert names(text) == ["shell", "read_file"]
    assert names(f"<|tool_calls|>{CALL}<|/tool_calls|>") == ["shell"]
    assert names(f"<tool_calls>{CALL}") == []


@pytest.mark.parametrize("opening", ["<tool_call >", '<tool_call id="1">', "<TOOL_CALL>", "<function_call\n>"])
def test_attributes_and_case_do_not_matter(opening: str) -> None:
    closing = "</function_call>" if "function" in opening else "</tool_call>"
    assert names(f"{opening} shell {closing}") == ["shell"]


def test_empty_tag_has_no_content() -> None:
    assert clean("a <thinking/> b") == "a  b"


def test_other_tags_are_kept() -> None:
    text = "<tool_callers>x</tool_callers> <b>y</b> List<thinkings> <thinkingcap>"
    assert clean(text) == text


def test_ids_are_unique_in_the_conversation() -> None:
    recovery = recover_calls(CALL * 3, TOOLS, {"recovered_0", "recovered_2"})
    assert [call.id for call in recovery.calls] == ["recovered_1", "recovered_3", "recovered_4"]


def test_closing_tag_in_an_argument_does_not_end_the_call() -> None:
    arguments = {"path": "a.xml", "content": f"{CALL}\n{CALL}"}
    written = msgspec.json.encode({"name": "write_file", "arguments": arguments}).decode()
    recovery = recover_calls(f"Writing. <tool_call>{written}</tool_call> Done.", TOOLS, NONE_TAKEN)
    assert [call.arguments for call in recovery.calls] == [arguments]
    assert recovery.rest == "Writing.  Done."


def test_incomplete_call_does_not_include_the_next() -> None:
    half = '<tool_call>{"name": "shell", "arguments": {"command": "ls}</tool_call>'
    whole = '<tool_call>{"name": "read_file", "arguments": {"path": "a"}}</tool_call>'
    recovery = recover_calls(half + whole, TOOLS, NONE_TAKEN)
    assert [(call.name, call.arguments) for call in recovery.calls] == [("read_file", {"path": "a"})]


@pytest.mark.parametrize("key", ["arguments", "parameters", "input"])
def test_arguments_are_found_under_each_key(key: str) -> None:
    text = f'<tool_call>{{"name": "shell", "{key}": {{"command": "ls"}}}}</tool_call>'
    assert [call.arguments for call in recover_calls(text, TOOLS, NONE_TAKEN).calls] == [{"command": "ls"}]


@pytest.mark.parametrize("arguments", ["null", "{}"])
def test_absent_arguments_are_an_empty_object(arguments: str) -> None:
    text = f'<tool_call>{{"name": "shell", "arguments": {arguments}}}</tool_call>'
    assert [call.arguments for call in recover_calls(text, TOOLS, NONE_TAKEN).calls] == [{}]


class Command(Parameters, frozen=True):
    command: str


def test_arguments_as_json_in_a_string_are_parsed() -> None:
    text = '<tool_call>{"name": "shell", "arguments": "{\\"command\\": \\"ls\\"}"}</tool_call>'
    (call,) = recover_calls(text, TOOLS, NONE_TAKEN).calls
    assert parse_arguments(Command, call.arguments) == Command(command="ls")


def test_arguments_of_another_type_are_refused_by_the_tool() -> None:
    (call,) = recover_calls('<tool_call>{"name": "shell", "arguments": [1]}</tool_call>', TOOLS, NONE_TAKEN).calls
    with pytest.raises(InvalidParametersError, match="Expected `object`"):
        parse_arguments(Command, call.arguments)


@pytest.mark.parametrize(
    "body", ['{"name": 7}', "{}", '["shell"]', "", "shell ls", '{"name": "shell"} x', '{"a":' * 5000]
)
def test_malformed_call_is_dropped_with_its_block_and_explained(body: str) -> None:
    recovery = recover_calls(f"a<tool_call>{body}</tool_call>b", TOOLS, NONE_TAKEN)
    assert (recovery.calls, recovery.rest) == ((), "ab")
    (problem,) = recovery.problems
    assert problem.reason
    assert "\n" not in problem.reason
    assert len(problem.reason) < 300


def test_gaps_are_reduced_around_blocks_but_not_in_code() -> None:
    assert clean("a\n\n<thinking>x</thinking>\n\nb") == "a\n\nb"
    assert clean("a\n\n\n```\n1\n\n\n\n2\n```\n\n\nb") == "a\n\n```\n1\n\n\n\n2\n```\n\nb"


@given(
    st.lists(
        st.sampled_from(["<thinking>", "</thinking>", CALL, "`", "``", "```\n", "~~~", "> ", "\n", "\n\n", "\\", "a "])
    )
)
def test_cleaning_drops_only_blocks(parts: list[str]) -> None:
    text = "".join(parts)
    assert recover_calls(text, TOOLS, NONE_TAKEN).rest == clean(text)
    remaining = iter(text)
    assert all(character in remaining for character in clean(text))


@given(st.text(alphabet="ab `~>\n\\-1."))
def test_text_without_tags_loses_only_gaps(text: str) -> None:
    assert "".join(clean(text).split()) == "".join(text.split())


BACKTICKS = "".join("`" * length + " " for length in range(1, 440))


@pytest.mark.parametrize(
    "unit",
    [
        "<thinking>",
        "<thinking ",
        "<tool_call>",
        "<tool_calls>",
        "<|tool_call|>",
        "<thinking></thinking>",
        '<tool_call>{"a":"</tool_call>',
        "<function=shell>",
        "<function=shell></function>",
        "<function=shell><parameter=a>",
        "<function=shell>" + "<parameter=a>x</parameter>" * 2000 + "</function>",
        "<function=shell><parameter=a>" + "</parameter> " * 2000 + "x</function>",
        "<tool_call>shell<arg_key>a</arg_key>",
        "<tool_call>shell" + "<arg_key>a</arg_key><arg_value>b</arg_value>" * 2000 + "</tool_call>",
        "<tool_call><function_call><tool_calls><function_calls>",
        "<tool_call><function_call>" * 500 + "</function_call></tool_call>" * 500,
        "<a:invoke name=b>",
        "<a-b",
        "[TOOL_CALLS]",
        "[TOOL_CALLS][",
        "[TOOL_CALLS]a{}",
        '<|python_tag|>{"a":"',
        "<\uff5ctool\u2581calls\u2581begin\uff5c>",
        "<\uff5ctool\u2581calls\u2581begin\uff5c><\uff5ctool\u2581call\u2581begin\uff5c>"
        "<\uff5ctool\u2581calls\u2581end\uff5c>",
        "<|start|>",
        "<|channel|>",
        "<|channel|>analysis<|message|>",
        "<|channel|>final<|message|><|end|>",
        "</think>",
        "<think></think></think>",
        '<tool_call>{",":"</tool_call>","',
        "<tool_call>{</tool_call>",
        CALL,
        "`",
        "` ",
        "`\n\n",
        "a`b\n",
        BACKTICKS,
        "```\n",
        "```a\n~~~\n",
        "``` \n" + " " * 500,
        "> \n",
        "- ",
        "\n",
        " ",
        "\t\n",
        "\\",
        "\\`",
        "<",
    ],
    ids=lambda unit: repr(unit[:30]),
)
def test_markup_takes_linear_time(unit: str) -> None:
    assert_linear(clean, unit)
    assert_linear(lambda text: recover_calls(text, TOOLS, NONE_TAKEN), unit)
