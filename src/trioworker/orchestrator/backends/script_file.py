"""The backend that plays a script, and reading the script's YAML or JSON file. Errors name the line."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

import msgspec
import trio
import yaml

from trioworker.errors import ConfigError
from trioworker.orchestrator.backends.base import LlmRefusedError, NamedReply
from trioworker.orchestrator.backends.script import ScriptError, Turn, answer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trioworker.orchestrator.backends.base import LlmRequest
    from trioworker.protocol.wire import Reply

MAX_SCRIPT_BYTES = 64 * 1024 * 1024
"""Maximum size of a script in bytes: a dozen files of the write limit (5 MiB). A larger file can't be meant."""

TURN_KEYS = ", ".join(field.name for field in msgspec.structs.fields(Turn))


class ScriptBackend:
    """A model that plays a script. Stateless, so any number of jobs may share it."""

    def __init__(self, turns: Sequence[Turn], name: str = "script") -> None:
        """`name` is that of the script, for error messages and as the name of the model."""
        self.turns = turns
        self._name = name

    async def complete(self, request: LlmRequest, /) -> Reply:
        """Reply with the conversation's next turn, after its delay."""
        try:
            reply, delay = answer(self.turns, request.messages, tools=request.tools is not None)
        except ScriptError as error:
            raise LlmRefusedError(f"{self._name}: {error}") from error
        await trio.sleep(delay)
        return NamedReply(**msgspec.structs.asdict(reply), model=f"{self._name} (script)")

    async def aclose(self) -> None:
        """Nothing to close."""


def load_turns(path: Path) -> tuple[Turn, ...]:
    """The turns of a YAML or JSON file: a list of turns, or an object with that list as `turns`.

    Raises:
        ConfigError: the script is invalid; `FILE:LINE: reason; remedy`.
    """
    text = _read(path)
    root = _compose(path, text)
    # The JSON parser knows escapes that YAML's doesn't. YAML's tree still provides the line numbers.
    value = _json(path, text) if path.suffix == ".json" else _constructed(path, text)
    where: tuple[str | int, ...] = ()
    if isinstance(value, dict) and "turns" in value:
        document = cast("dict[str, Any]", value)
        for key in document:
            if key != "turns":
                raise _error(path, root, (key,), f"unknown key `{key}`; the only key is `turns`")
        value, where = document["turns"], ("turns",)
    if not isinstance(value, list) or not value:
        raise _error(
            path, root, where, "a script is a list of at least one turn, or an object with that list as `turns`"
        )
    try:
        turns = msgspec.convert(value, tuple[Turn, ...])
    except msgspec.ValidationError as error:
        raise _invalid(path, root, where, str(error)) from error
    return tuple(_checked(path, root, (*where, index), turn) for index, turn in enumerate(turns))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SCRIPT_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; use script:FILE with a YAML or JSON file") from error
    if len(data) > MAX_SCRIPT_BYTES:
        raise ConfigError(f"{path}: over {MAX_SCRIPT_BYTES} bytes; is this a script?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8; save the script as UTF-8") from error


def _compose(path: Path, text: str) -> yaml.Node | None:
    try:
        # A tab is whitespace in JSON and an error in YAML. JSON strings can't contain one.
        return yaml.compose(text.replace("\t", " ") if path.suffix == ".json" else text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{path}:{line}: {_one_line(error.problem or str(error))}; fix the syntax") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}:1: {_one_line(str(error))}; fix the syntax") from error


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: {error.msg}; fix the JSON") from error


def _constructed(path: Path, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: {_one_line(error.problem or str(error))}; use a plain value") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}:1: {_one_line(str(error))}; use plain values") from error


def _checked(path: Path, root: yaml.Node | None, where: tuple[str | int, ...], turn: Turn) -> Turn:
    if turn.expect is not None:
        try:
            re.compile(turn.expect)
        except re.error as error:
            message = f"`expect` is not a regular expression: {error}; see Python's re"
            raise _error(path, root, (*where, "expect"), message) from error
    for index, call in enumerate(turn.tool_calls):
        try:
            msgspec.json.encode(call.arguments)
        except (TypeError, ValueError, RecursionError) as error:
            message = f"arguments that JSON can't represent: {_one_line(str(error))}; use plain values"
            raise _error(path, root, (*where, "tool_calls", index, "arguments"), message) from error
    return turn


_STEP = re.compile(r"\.(?P<key>\w+)|\[(?P<index>\d+)\]")


def _invalid(path: Path, root: yaml.Node | None, where: tuple[str | int, ...], message: str) -> ConfigError:
    """The error for msgspec's message, such as `Expected X, got Y - at `$[1].z``, with the line of that value."""
    text, _, place = message.partition(" - at `$")
    steps = [match["key"] or int(match["index"]) for match in _STEP.finditer(place)]
    remedy = ""
    if unknown := re.search("unknown field `(.*)`", text):
        keys = "name, arguments" if "tool_calls" in steps else TURN_KEYS
        steps.append(unknown[1])
        text, remedy = f"unknown key `{unknown[1]}`", f"; known are {keys}"
    elif steps:
        text = f"`{steps[-1]}`: {text}" if isinstance(steps[-1], str) else text
    return _error(path, root, (*where, *steps), text + remedy)


def _error(path: Path, root: yaml.Node | None, where: tuple[str | int, ...], message: str) -> ConfigError:
    return ConfigError(f"{path}:{_line(root, where)}: {message}")


def _line(node: yaml.Node | None, where: tuple[str | int, ...]) -> int:
    """The line, from 1, of the deepest part of `where` that exists."""
    line = 1 if node is None else node.start_mark.line + 1
    for step in where:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            items: list[yaml.Node] = node.value
            node = items[step]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
            found = [pair for pair in pairs if pair[0].value == step]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        else:
            break
    return line


def _one_line(text: str) -> str:
    return " ".join(text.split())
