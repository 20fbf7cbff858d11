"""The backend that plays a script, and reading the script's YAML or JSON file. Errors name the line."""

from __future__ import annotations

import difflib
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import msgspec
import trio
import yaml

from trioworker.errors import ConfigError
from trioworker.orchestrator.backends.base import LlmRefusedError, NamedReply
from trioworker.orchestrator.backends.script import ScriptError, Turn, answer
from trioworker.orchestrator.backends.script_errors import (
    invalid_json,
    invalid_turn,
    invalid_yaml,
    not_a_list,
    unusable_value,
)
from trioworker.orchestrator.backends.script_lines import line_of, repeated_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trioworker.orchestrator.backends.base import LlmRequest
    from trioworker.orchestrator.backends.script_errors import Problem
    from trioworker.orchestrator.backends.script_lines import Steps
    from trioworker.protocol.wire import Reply

MAX_SCRIPT_BYTES = 64 * 1024 * 1024
"""Maximum size of a script in bytes: a dozen files of the write limit (5 MiB). A larger file can't be meant."""
MAX_FILES = 1_000
"""Files of a folder that are compared with the name of a missing script."""


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
    # YAML's tree also provides the line numbers for JSON.
    root, value = _json(path, text) if path.suffix == ".json" else _yaml(path, text)
    if problem := repeated_key(root):
        raise _error(path, problem.line, f"the key `{problem.key}` is given twice; keep one")
    where: Steps = ()
    if isinstance(value, dict) and "turns" in value:
        document = cast("dict[Any, Any]", value)
        for key in document:
            if key != "turns":
                raise _error(path, line_of(root, (key,)), f"unknown key `{key}`; the only key is `turns`")
        value, where = document["turns"], ("turns",)
    if not isinstance(value, list) or not value:
        raise _error(path, line_of(root, where), not_a_list(value))
    try:
        turns = msgspec.convert(value, tuple[Turn, ...])
    except msgspec.ValidationError as error:
        raise _problem(path, root, where, invalid_turn(str(error))) from error
    for index, turn in enumerate(turns):
        if problem := unusable_value(turn):
            raise _problem(path, root, (*where, index), problem)
    return turns


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SCRIPT_BYTES + 1)
    except OSError as error:
        meant = f" (did you mean {near}?)" if isinstance(error, FileNotFoundError) and (near := _near(path)) else ""
        raise ConfigError(f"{path}: {error.strerror}{meant}; use script:FILE with a YAML or JSON file") from error
    if len(data) > MAX_SCRIPT_BYTES:
        raise ConfigError(f"{path}: larger than 64 MiB, so it isn't a script; use script:FILE with a YAML or JSON file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _error(path, line, "not UTF-8; use a YAML or JSON file, saved as UTF-8") from error


def _near(path: Path) -> str | None:
    """A file in the same folder with a similar name."""
    names: list[str] = []
    with suppress(OSError), os.scandir(path.parent) as entries:
        names = [entry.name for entry, _ in zip(entries, range(MAX_FILES), strict=False)]
    near = difflib.get_close_matches(path.name, names, 1, 0.7)
    return str(path.with_name(near[0])) if near else None


def _yaml(path: Path, text: str) -> tuple[yaml.Node | None, Any]:
    try:
        return yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _error(path, *invalid_yaml(error, text)) from error


def _json(path: Path, text: str) -> tuple[yaml.Node | None, Any]:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise _error(path, *invalid_json(error)) from error
    root = None
    # A tab is whitespace in JSON and an error in YAML. JSON strings can't contain one.
    with suppress(yaml.YAMLError, RecursionError):
        root = yaml.compose(text.replace("\t", " "), yaml.SafeLoader)
    return root, value


def _problem(path: Path, root: yaml.Node | None, where: Steps, problem: Problem) -> ConfigError:
    return _error(path, line_of(root, (*where, *problem.steps)), problem.text)


def _error(path: Path, line: int, text: str) -> ConfigError:
    return ConfigError(f"{path}:{line}: {text}")
