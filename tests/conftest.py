"""Fixtures for tests in several folders."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from loguru import logger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    # nohup and shells ignore some signals in what they start, and programs under test would inherit that.
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)


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
