"""Other names of parameters, which models know from other agents' tools.

Each tool's parameters have a table of them, `other_names`. Only unambiguous names belong in it: any other name is an
error that lists the parameters, so that the model can correct its call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Converter: TypeAlias = Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]
"""Takes a value, and all arguments under their real names; returns the real arguments that the value means.

It raises ValueError, with one line that says what is accepted, for a value that it can't convert.
"""
OtherNames: TypeAlias = Mapping[str, str | Converter]
"""What each other name means: a parameter, or a conversion. A parameter's own name may have a conversion too."""

FILE_NAMES = (
    "file_path", "filepath", "file", "filename", "file_name", "absolute_path", "abs_path", "relative_path",
    "target_file", "relative_workspace_path",
)  # fmt: skip
FOLDER_NAMES = (
    "directory", "dir", "folder", "dir_path", "directory_path", "folder_path", "dirname", "absolute_path",
    "target_directory", "relative_workspace_path", "search_path", "search_directory", "root", "cwd",
)  # fmt: skip


MAX_DIGITS = 15
"""Digits of a number that a conversion accepts; no file has more lines."""


def names_of(parameter: str, *names: str) -> dict[str, str | Converter]:
    """A table in which all of `names` mean `parameter`."""
    return dict.fromkeys(names, parameter)


def ignored(_value: Any, _given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The conversion of an argument that has no effect here."""
    return {}


def ignored_if(accepted: object, remedy: str) -> Converter:
    """The conversion of an argument that has no effect if it is `accepted`; otherwise it is an error."""

    def convert(value: Any, _given: Mapping[str, Any]) -> Mapping[str, Any]:
        if str(value).lower() != str(accepted).lower():
            raise ValueError(remedy)
        return {}

    return convert


def opposite_of(parameter: str) -> Converter:
    """The conversion of a switch that means the opposite of `parameter`."""

    def convert(value: Any, _given: Mapping[str, Any]) -> Mapping[str, Any]:
        switch = str(value).lower()
        if switch not in ("true", "false"):
            raise ValueError("expected true or false")
        return {parameter: switch == "false"}

    return convert


def snake_case(name: str) -> str:
    """The name in lower case, its words joined by `_`: other agents' tools have `filePath`, `ReadFile`, `old-text`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_")


def whole_number(value: Any) -> int:
    """A whole number, as such or as text.

    Raises:
        ValueError: it is something else.
    """
    text = str(value).strip()
    if len(text) > MAX_DIGITS or not text.removeprefix("-").isdecimal():
        raise ValueError("expected a whole number")
    return int(text)
