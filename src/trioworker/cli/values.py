"""Parsers of option values, one for each kind of value.

Each raises `ValueError` with what the value should be, to follow "is not".
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from trioworker.cli.suggestions import suggestion
from trioworker.protocol import values

if TYPE_CHECKING:
    from collections.abc import Callable


def whole(minimum: int, maximum: int) -> Callable[[str], int]:
    """A whole number from `minimum` to `maximum`."""

    def parse(text: str) -> int:
        number = int(text) if re.fullmatch(r"\d{1,9}", text) else None
        return values.whole_number(number, minimum, maximum)

    return parse


def seconds(text: str) -> float:
    """A number of seconds over 0, at most a week."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    return values.seconds(value)


def monotonic_seconds(text: str) -> float:
    """A time of CLOCK_MONOTONIC, which starts at 0 when the machine boots."""
    if not re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text):
        raise ValueError("a number of seconds, such as 1234.5")
    return float(text)


def cores(text: str) -> float:
    """A number of processors; fractions are allowed."""
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text) or float(text) == 0:
        raise ValueError("a number of processors over 0, such as 0.5")
    return float(text)


class Names(tuple[str, ...]):
    """Names; `str()` returns the option's value, to pass it on."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(self)


def variable_names(text: str) -> Names:
    """Names of environment variables, separated by commas."""
    names = Names(name.strip() for name in text.split(",") if name.strip())
    try:
        return Names(map(values.variable_name, names or [""]))
    except ValueError as error:
        raise ValueError("a list of variable names separated by commas, such as PGHOST,PGUSER") from error


def tool_specs(text: str) -> Names:
    """Tools as MODULE:NAME, separated by commas."""
    specs = Names(spec.strip() for spec in text.split(",") if spec.strip())
    if not specs or not all(re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", spec) for spec in specs):
        raise ValueError("MODULE:NAME, such as my_tools:WordCount")
    return specs


def standard_input(text: str) -> bool:
    """`-`, for standard input."""
    if text != "-":
        raise ValueError("-, for standard input")
    return True


def switch(text: str) -> bool:
    """On or off, in the spellings that are common for variables."""
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off"}:
        return False
    raise ValueError("on or off")


def path(text: str) -> Path:
    """A path. `~` and `~user` are expanded: the shell leaves them as they are after `=` and `:`."""
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        user = text.partition("/")[0]
        raise ValueError(f"a path, since {user} has no home folder; write ./{user[:40]} for a file of that name")
    return Path(expanded)


def path_pattern(text: str) -> str:
    """A path with a placeholder."""
    return str(path(text))


def model_spec(text: str) -> str:
    """A model, with the file of a `script:` or `replay:` expanded; the backend checks the rest."""
    kind, colon, file = text.partition(":")
    return f"{kind}:{path(file)}" if kind in {"script", "replay"} and file else kind + colon + file


def directory(text: str) -> Path:
    """A folder that exists."""
    folder = path(text)
    # os.path.isdir is False for a path that can't be examined; Path.is_dir would raise.
    if not os.path.isdir(folder):
        raise ValueError("a folder that exists")
    return folder.resolve()


class Paths(tuple[Path, ...]):
    """Paths; `str` gives the option's value, to pass it on."""

    __slots__ = ()

    def __str__(self) -> str:
        return ":".join(map(str, self))


def existing_paths(text: str) -> Paths:
    """Folders or files that exist, separated by colons; resolved, so that they hold in any working directory."""
    paths = [path(name) for name in text.split(":") if name]
    if not paths or not all(map(os.path.exists, paths)):
        raise ValueError("folders or files that exist, separated by colons")
    return Paths(each.resolve() for each in paths)


def socket_path(text: str) -> Path:
    """A path short enough for a Unix socket."""
    return values.socket_path(str(path(text)))


def one_of(*choices: str) -> Callable[[str], str]:
    """One of a few words, in capitals or not."""

    def parse(text: str) -> str:
        choice = text.lower()
        if choice not in choices:
            raise ValueError(values.alternatives(*choices) + suggestion(choice, choices))
        return choice

    return parse
