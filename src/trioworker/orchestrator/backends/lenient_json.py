"""Reads invalid JSON from model servers into values that the worker's strict reader accepts."""

from __future__ import annotations

import json
from typing import Any, cast

import msgspec

from trioworker.protocol.escapes import with_literal_backslashes
from trioworker.protocol.json_size import TOO_MANY_VALUES, has_too_many_values

MAX_DIGITS = 300
"""Maximum digits of an integer, as in the largest float. Larger ones become null, as infinity does."""


def read_json(data: bytes) -> Any:
    """The value of `data`. Accepts a byte order mark, control characters in strings, lone surrogates, any number,
    and backslashes that start no escape.

    Raises:
        ValueError: it isn't JSON, nested too deeply, or has too many values.
        json.JSONDecodeError: the same, with the place in the text.
    """
    if has_too_many_values(data):
        raise ValueError(TOO_MANY_VALUES)
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    text = data.decode("utf-8-sig", "replace")
    try:
        return _without_surrogates(_loads(text))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _loads(text: str) -> Any:
    try:
        return json.loads(text, strict=False, parse_int=_integer)
    except json.JSONDecodeError as error:
        if "escape" not in error.msg:
            raise
        return json.loads(with_literal_backslashes(text), strict=False, parse_int=_integer)


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= MAX_DIGITS else None


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {_without_surrogates(name): _without_surrogates(item) for name, item in items}
    return value
