"""A lone exception leaves a nursery unchanged."""

from __future__ import annotations

import traceback

import pytest
import trio

from trioworker.supervision.nurseries import cancelled_after, first_exception, raise_first, unwrap_single_exception


async def test_lone_exception_keeps_its_cause() -> None:
    cause = ValueError("cause")
    with pytest.raises(RuntimeError) as caught, unwrap_single_exception():
        async with trio.open_nursery():
            raise RuntimeError("error") from cause
    assert caught.value.__cause__ is cause
    assert caught.value.__suppress_context__


async def test_lone_exception_keeps_its_context() -> None:
    def fail_while_handling() -> None:
        try:
            raise LookupError("context")
        except LookupError:
            raise RuntimeError("error")  # noqa: B904 - the implicit context is what is tested

    with pytest.raises(RuntimeError) as caught, unwrap_single_exception():
        async with trio.open_nursery():
            fail_while_handling()
    assert isinstance(caught.value.__context__, LookupError)
    assert caught.value.__cause__ is None
    assert not caught.value.__suppress_context__


async def test_lone_exception_without_a_context_gets_none() -> None:
    with pytest.raises(RuntimeError) as caught, unwrap_single_exception():
        async with trio.open_nursery():
            raise RuntimeError("error")
    assert caught.value.__context__ is None
    assert "raise RuntimeError" in "".join(traceback.format_exception(caught.value))


async def test_several_exceptions_stay_a_group() -> None:
    async def fail() -> None:
        raise ValueError("task")

    async def fail_twice() -> None:
        with unwrap_single_exception():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                nursery.start_soon(fail)

    with pytest.RaisesGroup(ValueError, ValueError):
        await fail_twice()


async def test_cancel_passes_through() -> None:
    with trio.CancelScope() as scope, unwrap_single_exception():
        async with trio.open_nursery():
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_block_is_cancelled_after_the_event() -> None:
    event = trio.Event()
    event.set()
    async with cancelled_after(event.wait):
        await trio.sleep_forever()


async def test_block_that_ends_first_is_not_cancelled() -> None:
    async with cancelled_after(trio.Event().wait):
        await trio.lowlevel.checkpoint()


async def test_exception_of_the_block_is_not_grouped() -> None:
    with pytest.raises(KeyError):
        async with cancelled_after(trio.Event().wait):
            raise KeyError


def test_first_exception_of_nested_groups() -> None:
    error = KeyError()
    assert first_exception(ExceptionGroup("", [ExceptionGroup("", [error]), ValueError()])) is error


def test_first_exception_of_a_kind_replaces_the_group() -> None:
    with pytest.raises(ValueError, match="first"), raise_first(ValueError):
        raise ExceptionGroup("", [ExceptionGroup("", [ValueError("first")]), ValueError("second")])


def test_group_with_another_kind_stays_a_group() -> None:
    with pytest.RaisesGroup(ValueError, KeyError), raise_first(ValueError):
        raise ExceptionGroup("", [ValueError("first"), KeyError("second")])
