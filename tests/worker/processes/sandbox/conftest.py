"""What the tests of the wall share: a place outside of it, and commands run behind it."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from support.walls import wall_around
from trioworker.worker.processes.processes import Ended, Processes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from contextlib import AbstractAsyncContextManager

LIMIT = 30.0
"""Seconds that a command of these tests may take on a busy machine."""


class Run(Protocol):
    """Runs a command line by sh."""

    async def __call__(self, script: str, **variables: object) -> Ended: ...


class Behind(Protocol):
    """Gives what runs commands in the workspace behind a wall; `more` is of the job's configuration."""

    def __call__(self, **more: object) -> AbstractAsyncContextManager[Run]: ...


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that commands have no business in, and no variable that makes it theirs. It holds the file `victim`."""
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    try:
        folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    except OSError as error:
        pytest.skip(f"no folder outside of /tmp can be made here: {error}")
    (folder / "victim").write_text("safe")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def behind(workspace: Path) -> Behind:
    @asynccontextmanager
    async def opened(**more: object) -> AsyncGenerator[Run]:
        directory = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with wall_around(workspace, **more) as sandbox:
                async with Processes(None, sandbox) as processes:

                    async def run(script: str, **variables: object) -> Ended:
                        environment = {"PATH": os.environ["PATH"], **{name: str(of) for name, of in variables.items()}}
                        return await processes.run(
                            ["sh", "-c", script], directory=directory, environment=environment, timeout=LIMIT
                        )

                    yield run
        finally:
            os.close(directory)

    return opened
