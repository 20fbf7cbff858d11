"""Odd replies of real models and providers, after which a job still completes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from support.strict_provider import Answer, StrictProvider, calls, completion, fails, says

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DONE = says("All is well. The job is complete.")
ARGUMENTS = '{"text": "a"}'
CALL = ("probe", ARGUMENTS)
FUNCTION = {"name": "probe", "arguments": ARGUMENTS}


@dataclass(frozen=True, kw_only=True)
class Case:
    """Answers of a provider, then `DONE`.

    `runs`: the texts of the calls that run, None if that is up to the worker. `limited`: how many requests exceed a
    limit of the provider, None for at least one.
    """

    answers: Sequence[Answer]
    runs: Sequence[str] | None = ()
    limited: int | None = 0
    limits: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def provider(self) -> StrictProvider:
        return StrictProvider([*self.answers, DONE], **self.limits)


def _ran(*answers: Answer, runs: Sequence[str] = ("a",)) -> Case:
    return Case(answers=answers, runs=runs)


def _odd(*answers: Answer) -> Case:
    return Case(answers=answers)


def _raw(body: str | bytes) -> Answer:
    return Answer(body=body.encode() if isinstance(body, str) else body)


def _text_call(text: str) -> Case:
    return _ran(says(text))


_DETAILS = [{"type": "reasoning.text", "text": "hm", "signature": "s"}]
_BLOCKS = [{"type": "thinking", "thinking": "hm", "signature": "s"}]
_SIGNED = {
    "id": "call_a",
    "type": "function",
    "function": FUNCTION,
    "extra_content": {"google": {"thought_signature": "s"}},
}
_JSON_CALL = '{"name": "probe", "arguments": {"text": "a"}}'
_USAGE = {"prompt_tokens": 9.5, "completion_tokens": None, "prompt_tokens_details": None}

THOUGHTS = {
    "reasoning_content": _ran(calls(CALL, reasoning_content="I call it. The job is complete.")),
    "reasoning_content of two turns": _ran(
        calls(CALL, reasoning_content="first"),
        calls(("probe", '{"text": "b"}'), ids=["call_b"], reasoning_content="second"),
        runs="ab",
    ),
    "empty reasoning_content": _ran(calls(CALL, reasoning_content="")),
    "reasoning and its details": _ran(calls(CALL, reasoning="hm", reasoning_details=_DETAILS)),
    "thinking_blocks": _ran(calls(CALL, reasoning_content="hm", thinking_blocks=_BLOCKS)),
    "signature of a call": _ran(completion({"content": None, "tool_calls": [_SIGNED]}, "tool_calls")),
    "call in a thought": _ran(calls(CALL, content=f"<think>or <tool_call>{_JSON_CALL}</tool_call></think>")),
    "completion in a thought": _odd(says("<think>When green, the job is complete.</think>I look at it.")),
    "unopened thought": _odd(says("When green, the job is complete.\n</think>\nI look at it.")),
    "channels": _odd(
        says("<|channel|>analysis<|message|>The job is complete.<|end|><|channel|>final<|message|>I look.")
    ),
    "thinking parts": _ran(calls(CALL, content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}])),
    "only a thought": _odd(says("<think>hm</think>")),
    "only reasoning_content": _odd(says("", reasoning_content="hm")),
}

MARKUP = {
    "JSON": _text_call(f"<tool_call>\n{_JSON_CALL}\n</tool_call>"),
    "XML": _text_call("<tool_call>\n<function=probe>\n<parameter=text>\na\n</parameter>\n</function>\n</tool_call>"),
    "bare XML": _text_call("<function=probe>\n<parameter=text>a</parameter>\n</function>"),
    "arg_key": _text_call("<tool_call>probe\n<arg_key>text</arg_key>\n<arg_value>a</arg_value>\n</tool_call>"),
    "invoke": _text_call('<invoke name="probe">\n<parameter name="text">a</parameter>\n</invoke>'),
    "Mistral": _text_call(f"[TOOL_CALLS] [{_JSON_CALL}]"),
    "Llama": _text_call('<|python_tag|>{"name": "probe", "parameters": {"text": "a"}}'),
    "trailing comma": _odd(says('<tool_call>{"name": "probe", "arguments": {},}</tool_call>')),
    "unknown tool": _odd(says('<tool_call>{"name": "launch", "arguments": {}}</tool_call>')),
    "unclosed": _odd(says('<tool_call>{"name": "probe", "argum')),
}

NAMES = {
    f"name {name!r:.30}": _odd(calls((name, ARGUMENTS)))
    for name in ("functions.probe", "", None, "pro be", "n" * 200, "f\u00fc", 7)
} | {"name with a channel": Case(answers=[calls(("probe<|channel|>commentary", ARGUMENTS))], runs=None)}

ARGUMENT_FORMS = {
    "object": _ran(calls(("probe", {"text": "a"}))),
    "string in a string": _ran(calls(("probe", json.dumps(ARGUMENTS)))),
    "raw newline": _ran(calls(("probe", '{"text": "a\nb"}')), runs=["a\nb"]),
    "lone surrogate": _ran(calls(("probe", r'{"text": "\ud800"}')), runs=["\ufffd"]),
    "none": _ran(calls(("probe", "")), runs=[""]),
    "empty list": _ran(calls(("probe", "[]")), runs=[""]),
    "number over any float": _ran(calls(("probe", '{"text": %s}' % ("1" * 5000))), runs=[""]),
    "unescaped backslashes": _ran(calls(("probe", r'{"text": "\d+\.py"}')), runs=[r"\d+\.py"]),
    **{
        f"arguments {given!r:.30}": _odd(calls(("probe", given)))
        for given in ("5", '"x"', '{"text": "a', "{}{}", "[" * 5000)
    },
    "null": _ran(calls(("probe", None)), runs=[""]),
}

FORMS = {
    "integer ids": _ran(calls(CALL, ids=[7])),
    "no id": _ran(calls(CALL, ids=[None])),
    "empty ids": _ran(calls(CALL, CALL, ids=["", ""]), runs="aa"),
    "one id twice": _ran(calls(CALL, CALL, ids=["x", "x"]), runs="aa"),
    "one id in two replies": _ran(calls(CALL), calls(CALL), runs="aa"),
    "text and calls": _ran(calls(CALL, CALL, content="I look."), runs="aa"),
    "calls and stop": _ran(completion({"content": "", "tool_calls": [{"id": "a", "function": FUNCTION}]}, "stop")),
    "function_call": _ran(completion({"content": None, "function_call": FUNCTION}, "function_call")),
    "tool_use part": _ran(says([{"type": "tool_use", "id": "a", "name": "probe", "input": {"text": "a"}}])),
    "no calls": _odd(says("I look.", tool_calls=None), says("I look.", tool_calls=[])),
    "text, and no end": _odd(says("I look at it."), says("I see.")),
    "content in parts": _odd(says([{"type": "text", "text": "I look"}, {"type": "text", "text": " at it."}])),
    "refusal": _odd(says(None, refusal="I can't say.")),
    "no content": _odd(says(None)),
    "empty content": _odd(says("")),
    "whitespace": _odd(says(" \n ")),
    "no finish reason": _odd(says("I look.", None)),
    "unknown finish reason": _odd(says("I look.", "eos_token")),
    "odd usage": _odd(completion({"content": "I look."}, usage=_USAGE)),
    "byte order mark": _odd(_raw(b"\xef\xbb\xbf" + says("I look.").body)),
    "lone surrogate in text": _odd(_raw(says("I \ud800 look.").body)),
    "cut text": _odd(says("I look at", "length")),
    "cut call": _odd(completion({"content": "", "tool_calls": [{"id": "a", "function": FUNCTION}]}, "length")),
    "cut arguments": _odd(calls(("probe", '{"text": "a'))),
    "cut thought": _odd(says("<think>I thought about", "length")),
    "cut reasoning_content": _odd(says("", "length", reasoning_content="I thought about")),
    "content filter": _odd(says("", "content_filter")),
}

ERRORS = {
    "rate limit": _odd(fails(429, "Rate limit reached", headers={"Retry-After": "2"})),
    "overloaded": _odd(fails(529, "Overloaded"), fails(503, "Overloaded")),
    "gateway's page": _odd(Answer(body=b"<html>502 Bad Gateway</html>", status=502)),
    "error inside a success": _odd(_raw('{"error": {"message": "Provider returned error", "code": 502}}')),
    "error in a choice": _odd(_raw('{"choices": [{"error": {"message": "gone", "code": 502}}]}')),
    "no choices": _odd(_raw('{"choices": []}')),
    "page inside a success": _odd(_raw("<html>busy</html>")),
}

LIMITS = {
    "context length": Case(
        answers=[calls(("probe", json.dumps({"text": "x" * 9_000})), ids=[f"call_{n}"]) for n in range(8)],
        runs=["x" * 9_000] * 8,
        limits={"context_tokens": 12_000},
        limited=None,
    ),
    "max_tokens": Case(answers=[calls(CALL)], runs="a", limits={"max_tokens": 3_000}, limited=1),
    "max_completion_tokens": Case(
        answers=[calls(CALL)],
        runs="a",
        limits={"unsupported": {"max_tokens": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'."}},
        limited=1,
    ),
    "temperature": Case(
        answers=[calls(CALL)],
        runs="a",
        limits={"unsupported": {"temperature": "Unsupported value: 'temperature' does not support 0.7."}},
        limited=1,
    ),
}
