"""Which secrets a simple command reads, by the names of the files that it is given."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_READING = frozenset(
    {
        "echo",
        "printf",
        "mkdir",
        "touch",
        "chmod",
        "chown",
        "rm",
        "rmdir",
        "unlink",
        "export",
        "alias",
        "ssh-keygen",
        "ssh-add",
        "true",
        "false",
        ":",
        "which",
        "type",
    }
)
"""Commands whose arguments may name a secret without reading it."""
PATTERN_FIRST = frozenset({"grep", "egrep", "fgrep", "zgrep", "rg", "ag", "ack", "sed", "awk", "gawk", "jq", "perl"})
"""Commands whose first operand is a pattern or a program, not a file."""
PATTERN_OPTIONS = frozenset(
    {
        "-e",
        "-f",
        "-name",
        "-iname",
        "-path",
        "-ipath",
        "-wholename",
        "-regex",
        "--include",
        "--exclude",
        "-g",
        "--glob",
        "-m",
    }
)
"""Options whose value is a pattern or a text."""

_HOME = re.compile(r"(?:~|\$HOME|\$\{HOME\}|/root|/home/[^/]+)/\.ssh(?:/|$)")


def secrets_read(name: str, arguments: list[str]) -> Iterator[str]:
    """The denylist's names for the secrets that the command reads."""
    if name in NOT_READING:
        return
    for argument in _paths(name, arguments):
        path = argument.rpartition("=")[2].removeprefix("@")
        if posixpath.normpath(path) == "/etc/shadow":
            yield "/etc/shadow"
        elif _HOME.match(path):
            yield "~/.ssh"
        elif posixpath.basename(path) in ("id_rsa", ".bash_history"):
            yield posixpath.basename(path)


def _paths(name: str, arguments: list[str]) -> Iterator[str]:
    """The arguments that may name files."""
    pattern_due = name in PATTERN_FIRST and not {"-e", "-f"} & set(arguments)
    after_pattern_option = False
    for argument in arguments:
        if after_pattern_option:
            after_pattern_option = False
        elif argument in PATTERN_OPTIONS:
            after_pattern_option = True
        elif argument.split("=")[0] in PATTERN_OPTIONS:
            pass
        elif pattern_due and not argument.startswith("-"):
            pattern_due = False
        else:
            yield argument
