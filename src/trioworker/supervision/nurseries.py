"""Nursery helpers that trio leaves to its users."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

E = TypeVar("E", bound=BaseException)


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


@contextmanager
def raise_first(kind: type[Exception]) -> Generator[None]:
    """Raise the first exception of a group of any depth in place of the group, if all of them are of this kind.

    For tasks that may meet the same failure, such as a full disk.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        failures, others = group.split(kind)
        if failures is None or others is not None:
            raise
        raise first_exception(failures) from group


@asynccontextmanager
async def cancelled_after(event: Callable[[], Awaitable[object]]) -> AsyncGenerator[None]:
    """Cancel the block once `event()` has returned."""

    async def wait_and_cancel() -> None:
        await event()
        nursery.cancel_scope.cancel()

    with unwrap_single_exception():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_and_cancel)
            yield
            nursery.cancel_scope.cancel()


def first_exception(group: BaseExceptionGroup[E]) -> E:
    """The first exception in a group of any depth."""
    error = group.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return first_exception(cast("BaseExceptionGroup[E]", error))
    return error
