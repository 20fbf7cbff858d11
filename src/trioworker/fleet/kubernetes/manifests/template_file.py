"""Loads the YAML of a pod template."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from trioworker.protocol.control_characters import escape_line

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

MAX_VALUES = 100_000
"""Values of a template, far more than the API accepts in one object: a few aliases can make any number of them."""


def load_template(path: Path) -> dict[str, Any]:
    """Return the mapping in the file.

    Raises:
        ValueError: the file can't be read, or isn't one mapping in YAML; the message says what is wrong.
    """
    import yaml

    from trioworker.orchestrator.backends.script_lines import repeated_key

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{error.strerror}; name a file with a pod template") from error
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8; save the file as UTF-8") from error
    try:
        repeated = repeated_key(yaml.compose(text, yaml.SafeLoader))
        content: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(_invalid_yaml(error)) from error
    except ValueError as error:
        # PyYAML leaves the ranges of dates and numbers to Python.
        raise ValueError(f"a date or number is invalid ({error}); put it in quotes if it is text") from error
    except RecursionError as error:
        raise ValueError("nested too deeply; use fewer levels") from error
    if repeated is not None:
        raise ValueError(f"line {repeated.line}: duplicate key `{escape_line(repeated.key[:80])}`; remove one")
    _check_json(content)
    if not isinstance(content, dict):
        raise ValueError("not a pod template; write a mapping with `metadata` and `spec`")
    return cast("dict[str, Any]", content)


def _invalid_yaml(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    line = "" if mark is None else f"line {mark.line + 1}: "
    return f"{line}invalid YAML: {' '.join(problem.split())[:200]}; correct it"


def _check_json(content: Any) -> None:
    """Refuse values that YAML allows and JSON doesn't."""
    try:
        for count, (where, value) in enumerate(_values(content, "")):
            if count >= MAX_VALUES:
                raise ValueError(f"it has more than {MAX_VALUES:,} values; use fewer aliases")
            _check_value(value, where)
    except RecursionError as error:
        raise ValueError("nested too deeply; use fewer levels") from error


def _values(value: Any, where: str) -> Generator[tuple[str, Any]]:
    """Yield all values, and where each one is. An alias has those of its anchor."""
    yield where, value
    if isinstance(value, dict):
        for key, item in cast("dict[Any, Any]", value).items():
            if not isinstance(key, str):
                raise ValueError(f"{where}{escape_line(str(key)[:80])}: the name is not text; put it in quotes")
            yield from _values(item, f"{where}{escape_line(key[:80])}.")
    elif isinstance(value, list):
        for place, item in enumerate(cast("list[Any]", value)):
            yield from _values(item, f"{where[:-1]}[{place}].")


def _check_value(value: Any, where: str) -> None:
    if not isinstance(value, (dict, list, str, int, float, type(None))) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        raise ValueError(
            f"{where[:-1]}: is of type {type(value).__name__}, which JSON lacks; put it in quotes if it is text"
        )
