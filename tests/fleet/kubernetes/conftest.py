"""What the tests of fleets on Kubernetes share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.kubeconfigs import forget_clusters
from trioworker.fleet.results import Results

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Hide the user's clusters."""
    forget_clusters(tmp_path / "home", monkeypatch)


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Results]:
    """A new file of results."""
    with Results(tmp_path / "results.jsonl") as results:
        yield results
