"""Fixtures that more than one folder of tests uses."""

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
def _quiet_log() -> Iterator[None]:
    """What the code under test logs is noise here; a test that reads the log adds a sink of its own."""
    logger.remove()
    yield
    logger.remove()
