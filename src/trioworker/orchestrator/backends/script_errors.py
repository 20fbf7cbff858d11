"""What is wrong with a script, and what to do, in one line of plain words; no I/O."""

from __future__ import annotations

import difflib
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import yaml

from trioworker.orchestrator.backends.script import ScriptedCall, Turn

if TYPE_CHECKING:
    import json

    from trioworker.orchestrator.backends.script_lines import Steps

TURN_KEYS = tuple(field.name for field in msgspec.structs.fields(Turn))
CALL_KEYS = tuple(field.name for field in msgspec.structs.fields(ScriptedCall))
MAX_QUOTED = 60
"""Characters of a key that an error quotes."""

EXAMPLE = "`- content: The job is complete.`"
MEANINGS = {
    "content": "text",
    "tool_calls": "a list of calls",
    "finish_reason": "text",
    "delay": "a number of seconds, 0 or more",
    "input_tokens": "a whole number, 0 or more",
    "output_tokens": "a whole number, 0 or more",
    "expect": "text, a regular expression",
    "name": "text, the name of a tool",
}
KINDS = {
    "array": "a list",
    "object": "a mapping",
    "str": "text",
    "bool": "true or false",
    "int": "a number",
    "float": "a decimal number",
    "null": "empty",
    "date": "a date",
    "datetime": "a date",
    "bytes": "binary data",
    "set": "a set",
}
"""YAML's kinds of values under msgspec's names."""
UNQUOTED_KINDS = frozenset({"bool", "int", "float", "date", "datetime"})
"""The kinds that YAML reads in text without quotes, such as `yes`, `12` and `2024-01-31`."""

YAML_REMEDIES = (
    (r"found character '\\t'", "indent with spaces, not tabs"),
    (r"found character ", "put a text that starts with this character in quotes"),
    (r"mapping values are not allowed", "put a text that contains `: ` in quotes, and align the keys of a turn"),
    (r"alias|alphabetic or numeric|tag|anchor", "put a text that starts with `*`, `&` or `!` in quotes"),
    (r"unexpected end of stream", "close the quotes"),
    (r"expected <block end>", "align the keys of a turn and the `-` of all turns, and put the whole text in quotes"),
    (r"expected ',' or", "close the bracket, or put the text in quotes"),
    (r"could not find expected ':'", "write KEY: VALUE, with a space after the colon"),
    (r"escape", "use single quotes, or write each backslash twice"),
    (r"single document", "remove the `---` between the turns"),
    (r"special characters", 'write a control character as an escape in double quotes, such as "\\x1b"'),
)
"""The remedy for each of PyYAML's messages; the first pattern that matches decides."""


class Problem(NamedTuple):
    """What is wrong and what to do, and the steps to its place."""

    text: str
    steps: Steps = ()


def not_a_list(value: Any) -> str:
    """What is wrong with the value that should be the list of turns."""
    if value is None or value == []:
        return f"the script has no turns; write at least one, such as {EXAMPLE}"
    if isinstance(value, dict):
        keys = [str(key) for key in value][:1_000]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if set(keys) & {*TURN_KEYS, *CALL_KEYS}:
            return f"a script is a list of turns; start each turn with `- `, as in {EXAMPLE}"
        if any(key.startswith("-") for key in keys):
            return f"a script is a list of turns; put a space after `-`, as in {EXAMPLE}"
        if near := difflib.get_close_matches("turns", keys, 1):
            return f"unknown key `{near[0][:MAX_QUOTED]}`; did you mean `turns`?"
    return f"a script is a list of turns, not {_kind(value)}; write at least one, such as {EXAMPLE}"


def invalid_turn(message: str) -> Problem:
    """The problem in msgspec's message about a turn, such as `Expected X, got Y - at `$[1].z``."""
    text, _, place = message.partition(" - at `")
    steps: list[str | int] = [key or int(index) for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", place)]
    of_call = "tool_calls" in steps
    if place.startswith("key` in"):
        return Problem(
            f"a key that isn't text; the keys are {', '.join(CALL_KEYS if of_call else TURN_KEYS)}", tuple(steps)
        )
    if unknown := re.search("unknown field `(.*)`", text, re.DOTALL):
        return Problem(_unknown_key(unknown[1], of_call=of_call), (*steps, unknown[1]))
    if "missing required field" in text:
        return Problem("a call without `name`; name its tool", tuple(steps))
    got = text.rpartition("got `")[2].rstrip("`") if "got `" in text else ""
    return Problem(_wrong_value(steps[-1] if steps else 0, got, of_call=of_call), tuple(steps))


def unusable_value(turn: Turn) -> Problem | None:
    """The problem of a turn whose values have the right kind."""
    if not math.isfinite(turn.delay):
        return Problem(f"`delay` must be {MEANINGS['delay']}; write it as 2.5", ("delay",))
    if turn.expect is not None:
        try:
            re.compile(turn.expect)
        except (re.error, RecursionError, OverflowError) as error:
            return Problem(
                f"`expect` is not a regular expression: {_one_line(error)}; put a backslash before ( ) [ ] ? * + . "
                "where it means the character",
                ("expect",),
            )
    for index, call in enumerate(turn.tool_calls):
        try:
            msgspec.json.encode(call.arguments)
        except (TypeError, ValueError, RecursionError, OverflowError) as error:
            text = f"arguments that JSON can't represent: {_one_line(error)}; use text, numbers, lists and mappings"
            return Problem(text, ("tool_calls", index, "arguments"))
    return None


def invalid_yaml(error: Exception, text: str) -> tuple[int, str]:
    """The line of an error in YAML, and what is wrong."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        words = f"{error.context or ''} {error.problem or ''}"
        problem = error.problem or str(error)
        # PyYAML splits some sentences: "expected a single document in the stream", "but found another document".
        return line, f"{_one_line(words if problem.startswith('but ') else problem)}; {_yaml_remedy(words)}"
    if isinstance(error, yaml.reader.ReaderError):
        position = error.position if isinstance(error.position, int) else 0
        line = text.count("\n", 0, position) + 1
        return line, f"{error.reason}; {_yaml_remedy(str(error.reason))}"
    if isinstance(error, RecursionError):
        return 1, "nested too deeply; use fewer levels"
    return 1, f"{_one_line(error)}; put the text in quotes"


def invalid_json(error: json.JSONDecodeError | RecursionError) -> tuple[int, str]:
    """The line of an error in JSON, and what is wrong."""
    if isinstance(error, RecursionError):
        return 1, "nested too deeply; use fewer levels"
    remedy = "fix the JSON, or name the file .yaml if it is YAML"
    if "property name" in error.msg or "trailing comma" in error.msg:
        remedy = "put keys in double quotes, and no comma after the last entry"
    return error.lineno, f"{error.msg}; {remedy}"


def _unknown_key(key: str, *, of_call: bool) -> str:
    keys, others = (CALL_KEYS, TURN_KEYS) if of_call else (TURN_KEYS, CALL_KEYS)
    shown = f"unknown key `{key[:MAX_QUOTED]}`"
    if near := difflib.get_close_matches(key.lower(), keys, 1, 0.7):
        return f"{shown}; did you mean `{near[0]}`?"
    if of_call:
        belongs = (
            "it belongs to the turn" if key in others else "if it is a parameter of the tool, put it in `arguments`"
        )
        return f"{shown} of a call, whose keys are {', '.join(keys)}; {belongs}"
    if key in others:
        return f"{shown} of a turn; it belongs to a call, in the list `tool_calls`"
    return f"{shown}; the keys of a turn are {', '.join(keys)}"


def _wrong_value(step: str | int, got: str, *, of_call: bool) -> str:
    kind = KINDS.get(got, got)
    if isinstance(step, int):
        thing, remedy = ("call", "`- name: TOOL`") if of_call else ("turn", "`- content: TEXT`")
        return f"a {thing} is a mapping, not {kind or 'this'}; write {remedy}, with a space after the colon"
    wanted = f"`{step}` must be {MEANINGS.get(step, 'another kind of value')}"
    if not kind:
        return f"{wanted}; correct it"
    wanted += f", not {kind}"
    if got == "null":
        return f"{wanted}; leave it out, or give it a value"
    if step == "tool_calls":
        return f"{wanted}; start each call with `- name: TOOL`"
    if "text" in wanted and got in UNQUOTED_KINDS:
        return f"{wanted}; put it in quotes"
    return f"{wanted}; correct it"


def _yaml_remedy(words: str) -> str:
    return next((remedy for pattern, remedy in YAML_REMEDIES if re.search(pattern, words)), "fix the YAML")


def _kind(value: Any) -> str:
    return KINDS.get(type(value).__name__, "a mapping" if isinstance(value, dict) else "this")


def _one_line(error: object) -> str:
    return " ".join(str(error)[:500].split())
