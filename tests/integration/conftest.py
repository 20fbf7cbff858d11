"""What the tests with the real program share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trioworker.orchestrator.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store() -> Iterator[Store]:
    """What the orchestrator knows, for a test to look at when all is over."""
    with Store() as store:
        yield store
