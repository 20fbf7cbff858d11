"""Where a task waits: the line that a reader of a failure can act on."""

from __future__ import annotations

import os
import sysconfig
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import outcome
import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

_HIDDEN = (str(Path(trio.__file__).parent), str(Path(outcome.__file__).parent), str(Path(__file__).parents[1]), "<")
"""Prefixes of files that belong to trio or the matrix, or are generated."""
_STANDARD = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib")})


class SourceLine(NamedTuple):
    """A line of a file."""

    file: str
    number: int

    def __str__(self) -> str:
        relative = os.path.relpath(self.file)
        return f"{self.file if relative.startswith('..') else relative}:{self.number}"


class Place(NamedTuple):
    """Where a task waits.

    Attributes:
        task: its name.
        line: the innermost line outside of trio and the standard library.
        caller: if `line` is in an installed library, the innermost line of the program that uses it.
    """

    task: str
    line: SourceLine | None
    caller: SourceLine | None = None

    def __str__(self) -> str:
        at = f", {self.line}" if self.line else ""
        return f"task {self.task}{at}" + (f" (called from {self.caller})" if self.caller else "")


def place_of(task: trio.lowlevel.Task) -> Place:
    """Where a task waits. For a task that runs only trio's functions, it is the line where its nursery is open."""
    line = None
    for candidate in _lines(task):
        line = line or candidate
        if not _is_library(candidate.file):
            return Place(task.name, line, None if candidate is line else candidate)
    return Place(task.name, line)


def _lines(task: trio.lowlevel.Task) -> Iterator[SourceLine]:
    """The lines of a task's stack, innermost first, followed by those of its ancestors."""
    frames = [SourceLine(frame.f_code.co_filename, number) for frame, number in task.iter_await_frames()]
    yield from (line for line in reversed(frames) if not _is_hidden(line.file))
    if task.parent_nursery is not None:
        yield from _lines(task.parent_nursery.parent_task)


@cache
def _is_hidden(file: str) -> bool:
    return file.startswith(_HIDDEN) or (file.startswith(_STANDARD) and not _is_library(file))


@cache
def _is_library(file: str) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)
