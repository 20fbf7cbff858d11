"""Translates what a test tells pytest by an exception into what a matrix of runs understands.

The exceptions of `pytest.fail`, `pytest.skip` and their like are not subclasses of Exception, and a nursery wraps them
in a group. In a matrix, a failure belongs to one run; a skip belongs to the test.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

_ABOUT_THE_TEST = (pytest.skip.Exception, pytest.xfail.Exception, pytest.exit.Exception)


def translated(function: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    """An asynchronous function that does the same, but raises AssertionError for failures, and skips as they are."""

    async def run() -> object:
        try:
            result = function()
            return await result if inspect.isawaitable(result) else result
        except (pytest.fail.Exception, BaseExceptionGroup) as error:
            translation = _translation(error)
            if translation is error:
                raise
            raise translation from error.__cause__

    return run


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group and in the groups inside it, or the exception itself."""
    if isinstance(error, BaseExceptionGroup):
        for child in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from leaves(child)
    else:
        yield error


def _translation(error: BaseException) -> BaseException:
    # An xfail is a fail, too.
    if isinstance(error, pytest.fail.Exception) and not isinstance(error, _ABOUT_THE_TEST):
        return AssertionError(str(error)).with_traceback(error.__traceback__)
    if not isinstance(error, BaseExceptionGroup):
        return error
    group = cast("BaseExceptionGroup[BaseException]", error)
    about_the_test = [leaf for leaf in leaves(group) if isinstance(leaf, _ABOUT_THE_TEST)]
    if about_the_test:
        return about_the_test[0]
    children = [_translation(child) for child in group.exceptions]
    if children == list(group.exceptions):
        return group
    return group.derive(children).with_traceback(group.__traceback__)
