"""What pytest shows of a run that failed: the error, a short traceback, and the command that repeats the run."""

from __future__ import annotations

import inspect
import linecache
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import outcome
import pytest
import trio

from trioworker.testing.pytest_outcomes import leaves

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


def plan_of(failure: Failure) -> str:
    """The plan of a failed run; empty for the run without a cancel."""
    return "" if failure.number is None else f"cancel:{failure.number}"


def headline(failure: Failure, folder: Path) -> str:
    """The name of a failed run: its plan, and where it cancelled which task."""
    if not failure.file:
        return plan_of(failure) or "no cancel"
    return f"{plan_of(failure)}, {_relative(failure.file, folder)}:{failure.line}, task {failure.task}"


def describe(failure: Failure, item: pytest.Item) -> str:
    """The error, the lines that were cancelled, the traceback and the command."""
    errors = list(leaves(failure.error))
    folder = item.config.invocation_params.dir
    lines = ["; ".join(map(_one_line, errors[:MAX_ERRORS]))]
    if failure.file:
        lines.append(f"cancelled while task {failure.task} was at {_source(failure.file, failure.line, folder)}")
        raised = {place for error in errors for place in _cancelled_at(error)} - {(failure.file, failure.line)}
        lines += [f"Cancelled was raised at {_source(*place, folder)}" for place in sorted(raised)[:MAX_ERRORS]]
    lines += filter(None, map(_traceback, errors[:MAX_ERRORS]))
    if len(errors) > MAX_ERRORS:
        lines.append(f"and {len(errors) - MAX_ERRORS} more exceptions")
    lines.append(f"repeat: {command(item, plan_of(failure))}")
    return "\n".join(lines)


def command(item: pytest.Item, plan: str) -> str:
    """The command that repeats a plan, from the folder in which pytest was started."""
    config = item.config
    words = ["pytest"]
    # A test file that names the plugin itself is read too late for the plugin's options.
    if PLUGIN in (config.getoption("plugins") or ()) or not hasattr(config.option, "trio_chaos"):
        words += ["-p", PLUGIN]
    path = _relative(str(item.path), config.invocation_params.dir)
    words.append(shlex.quote("::".join([path, *item.nodeid.split("::")[1:]])))
    if plan:
        words.append(f"--trio-chaos='{plan}'")
    return " ".join(words)


def _one_line(error: BaseException) -> str:
    name, text = type(error).__name__, str(error).strip()
    return f"{name}: {text.splitlines()[0]}" if text else name


def _traceback(error: BaseException) -> str:
    """The frames outside of trio and of the matrix, with the message; empty if there are none.

    The error that was raised meanwhile is mostly Cancelled, so that only a cause is shown.
    """
    info = pytest.ExceptionInfo[BaseException].from_exception(error)
    if not any(map(_is_relevant, info.traceback)):
        return ""
    shown = info.getrepr(
        style="short", tbfilter=lambda info: info.traceback.filter(_is_relevant), chain=error.__cause__ is not None
    )
    return str(shown)


def _is_relevant(entry: TracebackEntry) -> bool:
    return not str(entry.path).startswith(_HIDDEN)


def _cancelled_at(error: BaseException) -> Iterator[tuple[str, int]]:
    """Where Cancelled was raised, if the error was raised while that was handled.

    A task may be cancelled where it can't be interrupted: it feels that at its next checkpoint.
    """
    context = error.__context__
    for leaf in leaves(context) if context else ():
        if isinstance(leaf, trio.Cancelled):
            entries = pytest.ExceptionInfo[BaseException].from_exception(leaf).traceback.filter(_is_relevant)
            yield from [(str(entry.path), entry.lineno + 1) for entry in entries[-1:]]


def _source(file: str, line: int, folder: Path) -> str:
    return f"{_relative(file, folder)}:{line}\n    {linecache.getline(file, line).strip()}"


def _relative(file: str, folder: Path) -> str:
    """A path as pytest writes it: relative to the folder, unless the file is far away."""
    relative = os.path.relpath(file, folder)
    return file if relative.startswith(os.path.join("..", "..", "..")) else relative
