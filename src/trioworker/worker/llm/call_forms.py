"""The forms in which models write calls as text: JSON, XML parameters, and the tokens of several model families.

Each form is as its chat template defines it: Hermes and Qwen (JSON in `<tool_call>`), Qwen3-Coder (`<function=NAME>`),
GLM (`<arg_key>`), Claude (`<invoke>`), Mistral (`[TOOL_CALLS]`), Llama (`<|python_tag|>`), DeepSeek (its tokens), and
gpt-oss (`<|channel|>` with a recipient).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from trioworker.protocol.text import truncate_words
from trioworker.worker.llm.loose_json import read_object, read_values
from trioworker.worker.llm.markup import CALLS, Block, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

ARGUMENT_KEYS = ("arguments", "parameters", "input", "args")
"""The keys under which models write a call's arguments. The first is the contract's."""
NAME_KEYS = ("name", "tool_name", "tool", "function")
WRAPPER_KEYS = ("function", "function_call", "tool_call")
"""The keys under which they write its name, and the whole call."""
SHOWN_BYTES = 60
"""Bytes of a malformed call that are quoted to the model."""


class WrittenCall(NamedTuple):
    """A call. Its arguments are an object, unless the model wrote another JSON value."""

    name: str
    arguments: Any


class Problem(NamedTuple):
    """Why a call can't be run, and the name in it, if that can be read."""

    name: str
    reason: str
    is_unknown_tool: bool = False


Written = WrittenCall | Problem


def read_block(block: Block) -> Iterator[Written]:
    """The calls in a block, and a problem for each that can't be read. Yields at least one of either."""
    match block.tag:
        case "function" | "invoke" if block.is_closed:
            yield _with_parameters(block)
        case "deepseek":
            yield from _deepseek(block)
        case "channel":
            yield _addressed(block.text)
        case _ if block.is_closed:
            yield from _body(block.text.strip())
        case _:
            yield from _unclosed(block)


def _unclosed(block: Block) -> Iterator[Written]:
    """Only JSON shows whether it is complete. A server may remove a closing tag that is a stop sequence."""
    reason = "so part of the call may be missing"
    if block.text.lstrip().startswith(("{", "[")):
        written = list(_json(block.text))
        reason = next((one.reason for one in written if isinstance(one, Problem)), "")
        if not reason:
            yield from written
            return
    yield Problem("", f"the <{block.tag}> has no closing tag, {reason}")


def _body(text: str) -> Iterator[Written]:
    if text.startswith(("{", "[")):
        yield from _json(text)
    elif written := _named(text):
        yield written
    else:
        blocks = [piece for piece in pieces(text) if isinstance(piece, Block) and piece.tag in CALLS]
        for block in blocks:
            yield from read_block(block)
        if not blocks:
            yield Problem("", f"it is neither JSON nor a known form of a call: {_excerpt(text)}")


def _named(text: str) -> Written | None:
    """A call that starts with the bare name of its tool; None if the text is no such call."""
    named = re.compile(_NAME).match(text)
    if named is None:
        return None
    name, rest = named[1], text[named.end() :].strip()
    if not rest:
        return WrittenCall(name, {})
    if rest.startswith("<arg_key>"):
        return _with_keys(name, rest)
    return _with_json(name, rest) if rest.startswith("{") else None


def _json(text: str) -> Iterator[Written]:
    try:
        values = read_values(text)
    except ValueError as error:
        yield Problem("", f"it is not valid JSON: {error}")
        return
    for value in values:
        for call in _listed(value):
            yield _from_json(call)


def _listed(value: Any) -> list[Any]:
    """The calls of a list, or of an object `{"tool_calls": […]}`; any other value is one call."""
    listed = cast("dict[str, Any]", value).get("tool_calls") if isinstance(value, dict) else value
    return cast("list[Any]", listed) if isinstance(listed, list) else [value]


def _from_json(value: Any) -> Written:
    for key in WRAPPER_KEYS:
        if isinstance(value, dict) and isinstance(cast("dict[str, Any]", value).get(key), dict):
            value = cast("dict[str, Any]", value)[key]
    if not isinstance(value, dict):
        return Problem("", 'a call is a JSON object such as {"name": …, "arguments": {…}}')
    call = cast("dict[str, Any]", value)
    name = next((call[key] for key in NAME_KEYS if isinstance(call.get(key), str)), "")
    if not name:
        return Problem("", 'the JSON of the call must have a "name" that is a string')
    given: Any = next((call[key] for key in ARGUMENT_KEYS if call.get(key) is not None), None)
    if given is None:
        return WrittenCall(name, {})
    if isinstance(given, str):
        return _with_json(name, given or "{}")
    return WrittenCall(name, given)


def _with_json(name: str, text: str) -> Written:
    try:
        return WrittenCall(name, read_object(text))
    except ValueError as error:
        return Problem(name, f"the arguments of {_excerpt(name)} are not a JSON object: {error}")


def _with_keys(name: str, text: str) -> Written:
    """GLM's form: `<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>`, repeated."""
    arguments: dict[str, Any] = {}
    at = 0
    while pair := re.compile(_ARGUMENT).match(text, at):
        end = text.find("</arg_value>", pair.end())
        if end < 0:
            break
        arguments[pair[1].strip()] = _value(text[pair.end() : end])
        at = end + len("</arg_value>")
    if text[at:].strip():
        return Problem(name, f"the call to {_excerpt(name)} has an <arg_key> without a complete <arg_value>")
    return WrittenCall(name, arguments)


def _with_parameters(block: Block) -> Written:
    """The form of Qwen3-Coder and Claude: one element for each parameter, after the opening tag with the name."""
    opening, _, text = block.text.partition(">")
    name = opening.partition("=")[2].strip().strip("\"'")
    arguments: dict[str, Any] = {}
    at = 0
    while parameter := re.compile(_PARAMETER).match(text, at):
        closing = _closing(text, parameter.end())
        key = (parameter[1] or parameter[2]).strip()
        if closing is None:
            return Problem(name, f"the parameter {_excerpt(key)} of {_excerpt(name)} has no closing tag")
        arguments[key] = _value(text[parameter.end() : closing.start()])
        at = closing.end()
    if not text[at:].strip():
        return WrittenCall(name, arguments)
    if not arguments and text.lstrip().startswith("{"):
        return _with_json(name, text)
    return Problem(name, f"the call to {_excerpt(name)} has text outside its parameters: {_excerpt(text[at:])}")


def _closing(text: str, start: int) -> re.Match[str] | None:
    """The closing tag of a parameter: the first before another parameter or the end, as the value may contain some."""
    for closing in re.compile(_PARAMETER_END).finditer(text, start):
        if closing[1] is not None:
            return closing
    return None


def _value(text: str) -> str:
    """A parameter's value. Templates that put it on lines of its own add a newline on both sides."""
    return text[1:].removesuffix("\n") if text.startswith("\n") else text


def _deepseek(block: Block) -> Iterator[Written]:
    for part in re.split(_DEEPSEEK_BEGIN, block.text)[1:] or [""]:
        written, *end = re.split(_DEEPSEEK_END, part, maxsplit=1)
        kind, separator, rest = (*re.split(_DEEPSEEK_SEPARATOR, written, maxsplit=1), "", "")[:3]
        if not end or not separator:
            yield Problem("", "part of the call is missing")
        elif kind.strip() == "function":
            name, _, arguments = rest.partition("\n")
            yield _with_json(name.strip(), _unfenced(arguments))
        else:
            yield _with_json(kind.strip(), _unfenced(rest))


def _unfenced(text: str) -> str:
    text = text.strip().removeprefix("```json").removeprefix("```")
    return text.removesuffix("```")


def _addressed(text: str) -> Written:
    """The form of gpt-oss: `to=functions.NAME` in the header, and the arguments as the message."""
    header, _, message = text.partition("<|message|>")
    recipient = re.search(_RECIPIENT, header)
    return _with_json(recipient[1] if recipient else "", message)


def _excerpt(text: str) -> str:
    return truncate_words(text, SHOWN_BYTES)


# See `verbatim.py` for the form of these patterns.
_NAME = r"([\w.:-]{1,128}+)\s*+(?:\[ARGS\])?"
_ARGUMENT = r"\s*+<arg_key>([^<]*+)</arg_key>\s*+<arg_value>"
_PARAMETER = r"""(?i)\s*+<(?:[\w-]++:)?+parameter(?:=([^<>]++)|\s++name=["']?([^"'<>]++)[^<>]*+)>"""
_PARAMETER_END = r"(?i)</(?:[\w-]++:)?+parameter\s*+>(?:(?=(\s*+(?:<(?:[\w-]++:)?+parameter[=\s]|\Z)))|)"
_DEEPSEEK_BEGIN = "<[|\uff5c]tool\u2581call\u2581begin[|\uff5c]>"
_DEEPSEEK_END = "<[|\uff5c]tool\u2581call\u2581end[|\uff5c]>"
_DEEPSEEK_SEPARATOR = "(<[|\uff5c]tool\u2581sep[|\uff5c]>)"
_RECIPIENT = r"\bto=(?:functions\.)?([\w.-]++)"
