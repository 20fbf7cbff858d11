"""Nursery helpers that trio leaves to its users."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def unwrap_single_exception() -> Generator[None]:
    """Unwrap the exception group of the nursery inside if it contains a single exception.

    For a nursery that is an implementation detail: the caller's own exception passes through it unchanged, with its
    cause, its context and its traceback. A group of several exceptions stays a group.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) != 1:
            raise
        error = group.exceptions[0]
        cause, context, suppressed = error.__cause__, error.__context__, error.__suppress_context__
        try:
            raise error
        finally:
            # `raise` has made the group the context. The cause is set first, since that suppresses the context.
            error.__cause__, error.__context__, error.__suppress_context__ = cause, context, suppressed
            del error, cause, context, group
