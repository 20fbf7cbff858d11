"""The control plane, for each test of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.cluster import admin_options, open_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from support.cluster import Cluster


@pytest.fixture(scope="session")
def running_cluster() -> tuple[Path, dict[str, Any]]:
    """The folder of the control plane, and the options of its client."""
    return admin_options()


@pytest.fixture
async def cluster(running_cluster: tuple[Path, dict[str, Any]]) -> AsyncGenerator[Cluster]:
    """A running control plane without Jobs of a fleet."""
    async with open_cluster(*running_cluster) as cluster:
        yield cluster
