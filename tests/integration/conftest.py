"""Fixtures for tests of the real program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trioworker.orchestrator.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store() -> Iterator[Store]:
    """The orchestrator's database, which a test can also read after the orchestrator has stopped."""
    with Store() as store:
        yield store
