"""The check of one conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trioworker.testing.simulation.wire_rules import conversation_errors

if TYPE_CHECKING:
    from collections.abc import Iterable


def assert_well_formed(messages: Iterable[dict[str, Any]]) -> None:
    """Check that no provider refuses this conversation for its form."""
    assert list(conversation_errors(list(messages))) == []
