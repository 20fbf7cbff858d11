"""Fixtures and helpers for tests that run commands."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from support.sandboxes import sandbox_for
from trioworker.worker.processes.processes import CommandResult, Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    MakeProcesses = Callable[[], Processes]

TIMEOUT = 30.0
"""Seconds after which something that must happen is taken not to happen; long, for a busy machine."""
LONG = 300
"""Seconds that a command runs unless it is terminated: longer than any test."""


@pytest.fixture(params=["unconfined", "confined"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeProcesses]:
    """Creates `Processes`, with and without a sandbox."""
    if request.param == "unconfined":
        yield Processes
        return
    with sandbox_for(tmp_path) as sandbox:
        yield lambda: Processes(None, sandbox)


async def run(processes: Processes, script: str, folder: Path, timeout: float = TIMEOUT) -> CommandResult:  # noqa: ASYNC109 - passed on
    with open_directory(folder) as directory:
        return await processes.run(
            ["sh", "-c", script], directory=directory, environment={"PATH": os.environ["PATH"]}, timeout=timeout
        )


@contextmanager
def open_directory(folder: Path) -> Generator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def written(file: Path) -> int:
    """Wait for a process to write a number to a file."""
    with trio.fail_after(TIMEOUT):
        # No event reports that another process has written it.
        while not (text := number_in(file)):  # noqa: ASYNC110
            await trio.sleep(0.01)
    return int(text)


def number_in(file: Path) -> str:
    try:
        text = file.read_text()
    except FileNotFoundError:
        return ""
    return text if text.endswith("\n") else ""
