"""Fixtures for tests in several folders."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from loguru import logger

if TYPE_CHECKING:
    from collections.abc import Iterator

for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    # nohup and shells ignore some signals in what they start, and programs under test would inherit that.
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(autouse=True, scope="session")
def _state_home() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """A state folder of our own: a program under test must not resume a job of the user, or of an earlier session.

    It is in the home folder: one below /tmp would be writable for commands in the sandbox, which the worker reports.
    """
    home = Path.home()
    with tempfile.TemporaryDirectory(
        prefix=".trioworker-tests-", dir=home if os.access(home, os.W_OK) else None
    ) as path:
        os.environ["XDG_STATE_HOME"] = path
        yield


@pytest.fixture(autouse=True, scope="session")
def _ordinary_terminal() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """Remove what the user's terminal or a CI server sets for the output of programs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "PY_COLORS"):
            patch.delenv(name, raising=False)
        patch.setenv("TERM", "xterm-256color")
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty workspace."""
    path = tmp_path / "workspace"
    path.mkdir()
    return path


@pytest.fixture(autouse=True)
def _disable_log() -> Iterator[None]:
    """Disable the log; a test that reads it adds its own sink."""
    logger.remove()
    logger.enable("trioworker")
    yield
    logger.remove()
