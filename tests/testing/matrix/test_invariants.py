"""Programs with one defect each: the cancel matrix finds it, and ends."""

from __future__ import annotations

import time
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio
import trio.lowlevel

from trioworker.testing import cancel_matrix, must_be_closed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from trioworker.testing import Failure


def found(body: Callable[[], Awaitable[object]]) -> dict[int | None, str]:
    """The kinds of errors by the number of the checkpoint."""
    return {failure.number: kind(failure) for failure in cancel_matrix(body).failures}


def kind(failure: Failure) -> str:
    return type(failure.error).__name__


def test_unexpected_exception_is_reported() -> None:
    async def body() -> None:
        try:
            await trio.sleep(1)
        finally:
            raise ValueError

    assert found(body) == {None: "ValueError"}


def test_allowed_exceptions_pass_also_in_groups() -> None:
    async def fail(error: Exception) -> None:
        await trio.lowlevel.cancel_shielded_checkpoint()
        raise error

    async def body() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, ValueError())
            nursery.start_soon(fail, KeyError())

    assert cancel_matrix(body, allowed=(ValueError, KeyError)).failures == ()
    failures = cancel_matrix(body, allowed=ValueError).failures
    assert isinstance(failures[0].error, ExceptionGroup)
    assert "KeyError" in failures[0].reason
    assert "ValueError" not in failures[0].reason


def test_swallowed_cancel_is_reported() -> None:
    async def body() -> None:
        with suppress(BaseException):
            await trio.sleep(1)

    assert found(body) == {0: "SwallowedCancelError"}


def test_cancel_swallowed_with_a_group_is_reported() -> None:
    async def fail() -> None:
        try:
            await trio.sleep(1)
        finally:
            raise ValueError

    async def body() -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                await trio.sleep(0.5)
        except BaseExceptionGroup:
            pass

    assert "SwallowedCancelError" in found(body).values()


def test_end_before_the_next_checkpoint_is_not_a_swallowed_cancel() -> None:
    async def body() -> None:
        await trio.lowlevel.cancel_shielded_checkpoint()

    assert found(body) == {}


def test_time_out_inside_is_not_a_swallowed_cancel() -> None:
    async def body() -> None:
        with trio.move_on_after(1):
            await trio.sleep_forever()
        with trio.CancelScope(shield=True), trio.move_on_after(1):
            await trio.sleep_forever()

    assert found(body) == {}


def test_escaped_cancel_is_reported() -> None:
    async def body() -> None:
        kept: BaseException | None = None
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.sleep(1)
            except trio.Cancelled as error:
                kept = error
                raise
        assert kept is not None
        raise kept

    assert found(body) == {None: "EscapedCancelError"}


def test_system_task_that_is_left_is_reported() -> None:
    async def body() -> None:
        trio.lowlevel.spawn_system_task(trio.sleep_forever, name="forgotten")
        await trio.sleep(1)

    (failure,) = cancel_matrix(body).failures
    assert kind(failure) == "TaskLeftError"
    assert "forgotten" in str(failure.error)


@pytest.mark.parametrize("shield", [False, True])
def test_deadlock_is_ended_and_names_the_waiting_tasks_and_places(shield: bool) -> None:
    async def wait_for_nobody(event: trio.Event) -> None:
        with trio.CancelScope(shield=shield):
            await event.wait()

    async def body() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_nobody, trio.Event(), name="waiter")

    (failure,) = cancel_matrix(body).failures
    assert kind(failure) == "DeadlockError"
    assert "waiter" in str(failure.error)
    assert "test_invariants.py:" in str(failure.error)


def test_deadlock_of_a_task_that_cannot_be_cancelled_is_ended() -> None:
    async def body() -> None:
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)

    assert found(body) == {None: "DeadlockError"}


def test_deadlock_of_the_invariant_is_reported() -> None:
    async def body() -> None:
        await trio.sleep(1)

    (failure,) = cancel_matrix(body, invariant=trio.sleep_forever).failures
    assert kind(failure) == "DeadlockError"


def test_invariant_that_returns_false_fails() -> None:
    async def body() -> None:
        await trio.sleep(1)

    async def check() -> bool:
        return False

    for invariant in (check, lambda: False):
        (failure,) = cancel_matrix(body, invariant=invariant).failures
        assert "returned False" in str(failure.error)
    assert cancel_matrix(body, invariant=lambda: None).failures == ()


def test_shielded_system_task_does_not_delay_the_end_of_the_run() -> None:
    async def wait() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

    async def body() -> None:
        trio.lowlevel.spawn_system_task(wait)
        await trio.sleep(1)

    assert found(body) == {None: "TaskLeftError"}


def test_lock_that_is_not_released_is_reported() -> None:
    async def use(lock: trio.Lock) -> None:
        await lock.acquire()
        await trio.sleep(1)
        lock.release()

    async def body() -> None:
        locked = trio.Event()

        async def hold() -> None:
            await lock.acquire()
            locked.set()
            await trio.sleep(1)
            lock.release()

        lock = trio.Lock()
        try:
            await hold()
        finally:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
                if locked.is_set() and lock.locked():
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(use, lock)

    assert found(body) == {0: "DeadlockError", 1: "DeadlockError"}


def test_cancel_swallowed_in_a_loop_is_reported_and_the_run_ends() -> None:
    async def body() -> None:
        try:
            await trio.sleep(1)
        except trio.Cancelled:
            while True:
                with suppress(BaseException):
                    await trio.sleep(1)

    assert found(body) == {0: "RunawayError"}


def test_endless_retry_is_reported() -> None:
    async def body() -> None:
        try:
            await trio.sleep(1)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                while True:
                    await trio.lowlevel.checkpoint()

    assert found(body) == {0: "RunawayError"}


def test_error_that_a_channel_loses_is_found_by_an_invariant() -> None:
    seen: list[str] = []

    async def work() -> None:
        send, _ = trio.open_memory_channel[int](0)
        # In a cancelled scope, leaving this block raises Cancelled instead of the error.
        async with send:
            try:
                await trio.sleep(1)
            finally:
                raise ValueError

    async def body() -> None:
        seen.clear()
        try:
            await work()
        except ValueError:
            seen.append("ValueError")

    def check() -> None:
        assert seen == ["ValueError"], "the error is lost"

    failures = cancel_matrix(body, invariant=check).failures
    assert failures[0].number == 0
    assert "the error is lost" in str(failures[0].error)


@pytest.mark.parametrize("kind_of_resource", ["send", "receive"])
def test_memory_channel_that_stays_open_is_reported(kind_of_resource: str) -> None:
    async def body() -> None:
        send, receive = trio.open_memory_channel[int](1)
        channel = must_be_closed(send if kind_of_resource == "send" else receive)
        await trio.sleep(1)
        channel.close()

    assert found(body) == {0: "NotClosedError"}


def test_open_resource_is_found_by_its_is_closed_function() -> None:
    async def body() -> None:
        opened = must_be_closed([1], is_closed=lambda: not opened)
        await trio.sleep(1)
        opened.clear()

    assert found(body) == {0: "NotClosedError"}


def test_unknown_resource_is_refused() -> None:
    with pytest.raises(TypeError, match="is_closed="):
        must_be_closed(object())


def test_resources_outside_of_a_matrix_are_returned() -> None:
    send, receive = map(must_be_closed, trio.open_memory_channel[int](0))
    send.close()
    receive.close()


def test_coroutine_that_is_never_awaited_is_reported() -> None:
    async def body() -> None:
        try:
            await trio.sleep(1)
        except trio.Cancelled:
            trio.sleep(1)  # pyright: ignore[reportUnusedCoroutine] # noqa: ASYNC105
            raise

    assert found(body) == {0: "StrayError"}


def test_exception_in_an_async_generator_that_is_closed_late_is_reported() -> None:
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise ValueError

    async def body() -> None:
        async for _ in numbers():
            await trio.sleep(1)
            break

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert found(body) == {None: "StrayError"}


def test_exception_of_a_predicate_is_not_lost() -> None:
    async def body() -> None:
        await trio.sleep(1)

    def where(task: trio.lowlevel.Task) -> bool:
        raise ZeroDivisionError

    (failure,) = cancel_matrix(body, where=where).failures
    assert kind(failure) == "ZeroDivisionError"


def test_interrupt_in_a_predicate_propagates() -> None:
    async def body() -> None:
        await trio.sleep(1)

    def where(task: trio.lowlevel.Task) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cancel_matrix(body, where=where)


def test_waiting_for_a_thread_is_reported_as_such() -> None:
    async def body() -> None:
        with trio.move_on_after(100):
            await trio.to_thread.run_sync(time.sleep, 0.05)

    (failure,) = cancel_matrix(body).failures
    assert kind(failure) == "RealTimeError"
    assert "waits for a thread" in str(failure.error)
    assert "\n" not in str(failure.error)


def test_waiting_for_a_socket_is_reported_as_such() -> None:
    async def body() -> None:
        ours, theirs = trio.socket.socketpair()
        with ours, theirs:
            await ours.recv(1)

    (failure,) = cancel_matrix(body).failures
    assert kind(failure) == "RealTimeError"


def test_other_problems_of_a_run_are_notes() -> None:
    async def body() -> None:
        trio.lowlevel.spawn_system_task(trio.sleep_forever)
        must_be_closed([1], is_closed=lambda: False)
        await trio.sleep(1)

    (failure,) = cancel_matrix(body).failures
    assert "TaskLeftError" in failure.reason
    assert "also: NotClosedError" in failure.reason
