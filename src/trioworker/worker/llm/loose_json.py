"""JSON as models write it: several values in a row, and newlines in strings. Anything else has to be valid."""

from __future__ import annotations

import re
from typing import Any, NoReturn, cast

import msgspec

from trioworker.protocol.json_size import TOO_MANY_VALUES, has_too_many_values

_SEPARATOR = r"[\s,;]*+"
"""What models write between two calls."""


def read_values(text: str) -> list[Any]:
    """The values in the text.

    Raises:
        ValueError: the text isn't JSON, or JSON that can't be encoded again. The message has the reason in one line.
    """
    # Imported only when needed, since the import compiles patterns.
    import json

    if has_too_many_values(text):
        raise ValueError(TOO_MANY_VALUES)
    decoder = json.JSONDecoder(strict=False, parse_constant=_refuse_constant)
    values: list[Any] = []
    separator = re.compile(_SEPARATOR)
    at = _end(separator, text, 0)
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            values.append(value)
            at = _end(separator, text, at)
        msgspec.json.encode(values)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno} column {error.colno}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError("it contains half of a surrogate pair") from error
    return values


def read_object(text: str) -> dict[str, Any]:
    """The only value in the text, an object.

    Raises:
        ValueError: the text isn't one JSON object.
    """
    values = read_values(text)
    if len(values) != 1 or not isinstance(values[0], dict):
        raise ValueError("it isn't a single object")
    return cast("dict[str, Any]", values[0])


def _end(separator: re.Pattern[str], text: str, at: int) -> int:
    match = separator.match(text, at)
    return match.end() if match else at


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
