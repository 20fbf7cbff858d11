"""The results of a fleet on the fake API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trioworker.fleet.results import Results

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Results]:
    """A new file of results."""
    with Results(tmp_path / "results.jsonl") as results:
        yield results
