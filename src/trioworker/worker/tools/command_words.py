"""What a simple command runs in the end: behind keywords, assignments and wrappers, and in programs given as text."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trioworker.worker.tools.shell_parser import Command, Word

SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh", "ash", "fish"})
KEYWORDS = frozenset({"if", "then", "elif", "else", "while", "until", "do", "!", "{", "time", "coproc", "-p"})

# Commands that run their arguments: the options of each that take a value in the next word.
WRAPPERS = {
    "builtin": "",
    "command": "",
    "env": "-u --unset -C --chdir -S --split-string",
    "exec": "-a",
    "ionice": "-c -n -p",
    "nice": "-n --adjustment",
    "nohup": "",
    "setsid": "",
    "stdbuf": "-i -o -e",
    "time": "-f -o --format --output",
    "timeout": "-k -s --kill-after --signal",
    "xargs": "-a -d -E -I -L -n -P -s --arg-file --delimiter --replace --max-lines --max-args --max-procs --max-chars",
}
ONE_OPERAND_FIRST = frozenset({"timeout"})
PRIVILEGED = {"sudo": "-u -g", "doas": "-u"}
"""Wrappers that the denylist refuses, and looks behind to name a worse command."""
EXECUTING = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
"""The options of `find` that run a command."""

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")


def unwrapped(words: list[Word], wrappers: Mapping[str, str] = WRAPPERS) -> list[Word]:
    """The words of the command that is run in the end, without keywords, assignments and wrappers."""
    at = 0
    while at < len(words):
        first = words[at].text
        name = posixpath.basename(first)
        if (first in KEYWORDS and not words[at].quoted) or _ASSIGNMENT.match(first):
            at += 1
        elif first == "function":
            at += 2
        elif name in wrappers:
            if name == "command" and at + 1 < len(words) and words[at + 1].text in ("-v", "-V"):
                return []
            at = _behind_options(words, at + 1, wrappers[name].split())
            at += name in ONE_OPERAND_FIRST
        else:
            break
    return words[at:]


def _behind_options(words: list[Word], position: int, with_value: list[str]) -> int:
    while position < len(words) and words[position].text.startswith("-"):
        option = words[position].text
        position += 2 if option in with_value else 1
        if option == "--":
            break
    return position


def command_name(words: list[Word]) -> str:
    """The program's name without its folder; empty if there are no words."""
    return posixpath.basename(words[0].text) if words else ""


def programs(name: str, words: list[Word], command: Command) -> Iterator[str]:
    """The texts that a command called `name` runs as shell commands."""
    arguments = [word.text for word in words[1:]]
    if name in SHELLS:
        for position, argument in enumerate(arguments):
            if re.fullmatch(r"-[a-z]*c[a-z]*", argument):
                yield from arguments[position + 1 : position + 2]
                break
        else:
            yield from command.documents
    elif name == "eval":
        yield " ".join(arguments)
    elif name == "find":
        yield from _executed(arguments)


def _executed(arguments: list[str]) -> Iterator[str]:
    """The commands that `find` runs, each up to its `;` or to the next one."""
    command: list[str] | None = None
    for argument in (*arguments, ";"):
        if argument == ";" or argument in EXECUTING:
            if command:
                yield " ".join(command)
            command = None if argument == ";" else []
        elif command is not None:
            command.append(argument)
