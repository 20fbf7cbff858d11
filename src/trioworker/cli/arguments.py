"""Checks the names of the command and of its options before argparse reads them, so that a typo gets a suggestion."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from trioworker.cli.commands import COMMANDS
from trioworker.cli.suggestions import nearest, suggestion
from trioworker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TOP_OPTIONS = ("help", "version")
MAX_QUOTED = 60
"""Characters of a word that an error quotes."""


def checked(arguments: Sequence[str]) -> list[str]:
    """The arguments of the program, with `help` as the option `--help`.

    Raises:
        ConfigError: there is no such command or option; the message suggests one.
    """
    first, *rest = arguments
    if first == "help":
        return checked([*rest[:1], "--help"])
    if first.startswith("-"):
        # argparse handles --help and --version, and reports a missing command.
        _check_options([first], TOP_OPTIONS, "trioworker")
    elif first in COMMANDS:
        _check_options(rest, ("help", *(option.name for option in COMMANDS[first].options)), f"trioworker {first}")
    else:
        raise ConfigError(_unknown_command(first, rest))
    return [*arguments]


def _unknown_command(first: str, rest: Sequence[str]) -> str:
    found = nearest(first, COMMANDS)
    if found is None and (" " in first or (rest and not rest[0].startswith("-"))):
        task = " ".join([first, *_until_option(rest)])
        return f"{_shortened(task)!r} is not a command; to run a task: trioworker local {_quoted(_shortened(task))}"
    did_you_mean = f"did you mean trioworker {found}?" if found else "see trioworker --help"
    return f"{_shortened(first)!r} is not a command; {did_you_mean}"


def _until_option(words: Sequence[str]) -> Iterable[str]:
    end = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    return words[:end]


def _check_options(arguments: Iterable[str], known: Sequence[str], program: str) -> None:
    for argument in arguments:
        if argument == "--":
            return
        name = argument.partition("=")[0]
        if not _is_option(argument) or name == "-h" or (name.startswith("--") and name[2:] in known):
            continue
        meant = suggestion(name, [f"--{each}" for each in known])
        raise ConfigError(f"unknown option {_shortened(name)}{meant or f'; see {program} --help'}")


def _is_option(argument: str) -> bool:
    """Whether argparse takes it for an option if it is unknown: `-`, negative numbers and texts with spaces are not."""
    return argument.startswith("-") and argument != "-" and " " not in argument and not _NUMBER.fullmatch(argument)


_NUMBER = re.compile(r"-\d+|-\d*\.\d+")


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + "…"


def _quoted(text: str) -> str:
    """The text in quotes for a shell: double ones where they change nothing."""
    return shlex.quote(text) if re.search(r'["$`\\!]', text) else f'"{text}"'
