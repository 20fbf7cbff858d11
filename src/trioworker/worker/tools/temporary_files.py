"""Removes the temporary files that a killed worker left, before its job is resumed."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import msgspec

from trioworker.protocol.json_size import has_too_many_values
from trioworker.worker.tools.workspace import TEMPORARY_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trioworker.worker.tools.workspace import Workspace

MAX_NAMES = 1000
"""Strings of a call that are tried as file names; no call edits more files."""


def remove_temporary_files(workspace: Workspace, calls: Iterable[bytes]) -> int:
    """Remove this job's temporary files from the folders that interrupted calls wrote to, and return their number.

    `calls` are the arguments of these calls, as JSON. Every string in them is tried as the name of the file that was
    written, which depends on no tool's parameters and needs no search of the workspace.
    """
    removed = 0
    for arguments in calls:
        names = dict.fromkeys(_possible_names(msgspec.json.decode(arguments)))
        for name in list(names)[:MAX_NAMES]:
            # ValueError: a string with a NUL.
            with suppress(OSError, ValueError), workspace.parent(name) as (parent, _):
                removed += _remove_from(parent, workspace.temporary_prefix)
    return removed


def _possible_names(value: Any) -> Iterator[str]:
    """Strings of one line, what a patch in OpenAI's format names, and the same in JSON within a string."""
    if isinstance(value, str):
        if value.lstrip().startswith(("{", "[", '"')) and not has_too_many_values(value):
            with suppress(msgspec.DecodeError, RecursionError, UnicodeEncodeError):
                yield from _possible_names(msgspec.json.decode(value))
        if "\n" in value:
            yield from re.findall(r"^\*\*\* (?:(?:Add|Update|Delete) File|Move to): (.+?)\r?$", value, re.MULTILINE)
        else:
            yield value
    elif isinstance(value, dict):
        yield from _possible_names([*cast("dict[str, Any]", value).values()])
    elif isinstance(value, list):
        for part in cast("list[Any]", value):
            yield from _possible_names(part)


def _remove_from(parent: int, prefix: str) -> int:
    folder = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
    try:
        found = [name for name in os.listdir(folder) if name.startswith(prefix) and name.endswith(TEMPORARY_SUFFIX)]
        for name in found:
            os.unlink(name, dir_fd=folder)
        return len(found)
    finally:
        os.close(folder)
