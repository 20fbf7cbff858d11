"""Fixtures for tests of the sandbox: a folder outside of it, and commands inside."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from support.sandboxes import sandbox_for
from trioworker.worker.processes.processes import CommandResult, Processes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from contextlib import AbstractAsyncContextManager

LIMIT = 30.0
"""Seconds that a command of these tests may take on a busy machine."""


class Run(Protocol):
    """Runs a script with sh."""

    async def __call__(self, script: str, **variables: object) -> CommandResult: ...


class OpenSandboxed(Protocol):
    """Opens a sandbox for commands in the workspace, with `more` configuration of the job."""

    def __call__(self, **more: object) -> AbstractAsyncContextManager[Run]: ...


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the file `victim`, which commands may not write to."""
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    try:
        folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    except OSError as error:
        pytest.skip(f"no folder can be created outside /tmp: {error}")
    (folder / "victim").write_text("safe")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def sandboxed(workspace: Path) -> OpenSandboxed:
    @asynccontextmanager
    async def open_sandboxed(**more: object) -> AsyncGenerator[Run]:
        directory = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with sandbox_for(workspace, **more) as sandbox:
                async with Processes(None, sandbox) as processes:

                    async def run(script: str, **variables: object) -> CommandResult:
                        environment = {"PATH": os.environ["PATH"], **{name: str(of) for name, of in variables.items()}}
                        return await processes.run(
                            ["sh", "-c", script], directory=directory, environment=environment, timeout=LIMIT
                        )

                    yield run
        finally:
            os.close(directory)

    return open_sandboxed
