"""Fixtures for tests in several folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from loguru import logger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
