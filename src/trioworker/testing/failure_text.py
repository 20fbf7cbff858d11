"""What pytest shows of a failed run: the error, a short traceback, and the command that repeats the run."""

from __future__ import annotations

import inspect
import linecache
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, cast

import outcome
import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest._code import TracebackEntry

    from trioworker.testing.matrix.report import Failure

PLUGIN = "trioworker.testing.pytest_plugin"
MAX_ERRORS = 3
"""Exceptions of one group that are shown."""

_HIDDEN = tuple(
    f"{Path(file).parent}{os.sep}" for file in (trio.__file__, outcome.__file__, inspect.getfile(pytest.Item), __file__)
)
"""Folders whose frames a traceback leaves out."""


def headline(failure: Failure, folder: Path) -> str:
    """The name of a failed run: its plan, and which task it cancelled where."""
    if not failure.file:
        return failure.plan
    return f"{failure.plan}, {_relative(failure.file, folder)}:{failure.line}, task {failure.task}"


def describe(failure: Failure, item: pytest.Item) -> str:
    """The error, the line at which the task was cancelled, the traceback and the command."""
    errors = list(leaves(failure.error))
    folder = item.config.invocation_params.dir
    lines = ["; ".join(map(_one_line, errors[:MAX_ERRORS]))]
    if failure.file:
        lines.append(f"cancelled while task {failure.task} was at {_source(failure.file, failure.line, folder)}")
        if failure.caller:
            lines.append(f"called from {failure.caller}")
        raised = {place for error in errors for place in _cancelled_at(error)} - {(failure.file, failure.line)}
        lines += [f"Cancelled was raised at {_source(*place, folder)}" for place in sorted(raised)[:MAX_ERRORS]]
    lines += filter(None, map(_traceback, errors[:MAX_ERRORS]))
    if len(errors) > MAX_ERRORS:
        lines.append(f"and {len(errors) - MAX_ERRORS} more exceptions")
    lines.append(f"repeat: {failure.repeat}")
    return "\n".join(lines)


def command(item: pytest.Item, plan: str, *, has_options: bool) -> str:
    """The command that repeats a plan, from the folder in which pytest was started.

    Without the plugin's options on the command line, it has to name the plugin.
    """
    config = item.config
    words = ["pytest"]
    if PLUGIN in (config.getoption("plugins") or ()) or not has_options:
        words += ["-p", PLUGIN]
    path = _relative(str(item.path), config.invocation_params.dir)
    words.append(shlex.quote("::".join([path, *item.nodeid.split("::")[1:]])))
    words.append(f"--trio-chaos='{plan}'")
    return " ".join(words)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group and in the groups inside it, or the exception itself."""
    if isinstance(error, BaseExceptionGroup):
        for child in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from leaves(child)
    else:
        yield error


def _one_line(error: BaseException) -> str:
    name, text = type(error).__name__, str(error).strip()
    return f"{name}: {text.splitlines()[0]}" if text else name


def _traceback(error: BaseException) -> str:
    """The frames outside trio and the matrix, with the message; without such frames, only the notes.

    The context of an error is mostly a Cancelled, so only an explicit cause is shown.
    """
    if not _relevant_entries(error):
        return "\n".join(getattr(error, "__notes__", ()))
    info = pytest.ExceptionInfo[BaseException].from_exception(error)
    shown = info.getrepr(
        style="short", tbfilter=lambda info: info.traceback.filter(_is_relevant), chain=error.__cause__ is not None
    )
    return str(shown)


def _relevant_entries(error: BaseException) -> list[TracebackEntry]:
    if error.__traceback__ is None:
        return []
    return list(filter(_is_relevant, pytest.ExceptionInfo[BaseException].from_exception(error).traceback))


def _is_relevant(entry: TracebackEntry) -> bool:
    return not str(entry.path).startswith(_HIDDEN)


def _cancelled_at(error: BaseException) -> Iterator[tuple[str, int]]:
    """Where Cancelled was raised, if the error was raised while it was being handled.

    A task may be cancelled where it can't be interrupted: Cancelled is then raised at its next checkpoint.
    """
    context = error.__context__
    for leaf in leaves(context) if context else ():
        if isinstance(leaf, trio.Cancelled):
            yield from [(str(entry.path), entry.lineno + 1) for entry in _relevant_entries(leaf)[-1:]]


def _source(file: str, line: int, folder: Path) -> str:
    return f"{_relative(file, folder)}:{line}\n    {linecache.getline(file, line).strip()}"


def _relative(file: str, folder: Path) -> str:
    """A path as pytest writes it: relative to the folder, unless it is more than two levels up."""
    relative = os.path.relpath(file, folder)
    return file if relative.startswith(os.path.join("..", "..", "..")) else relative
