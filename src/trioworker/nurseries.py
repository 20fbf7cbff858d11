"""What nurseries need that trio leaves to its users."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def alone() -> Generator[None]:
    """What the caller's block raises reaches the caller as it is: the nursery around it is our own affair."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
