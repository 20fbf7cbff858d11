"""Supervision of one actor: which ends lead to a restart, and which are final."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from trioworker.errors import ActorFailedError
from trioworker.supervision.actor import MAX_RESTARTS, RESTART_WINDOW, Actor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from trio.testing import MockClock

FOREVER = float("inf")


class RecordingObserver:
    """Records the incarnations that started and the instants."""

    def __init__(self) -> None:
        self.incarnations: list[object] = []
        self.instants: list[str] = []

    @contextmanager
    def span(self, kind: str, name: str, *, track: str = "", **attributes: object) -> Generator[None]:
        self.incarnations.append(attributes["incarnation"])
        yield

    def instant(self, name: str, *, track: str = "", **attributes: object) -> None:
        self.instants.append(name)


def new_actor() -> Actor:
    return Actor("worker", RecordingObserver())


async def supervise_for(actor: Actor, start: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Supervise the actor, and stop it after `seconds`."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.supervise, start, FOREVER)
        await trio.sleep(seconds)
        actor.stop()


async def crash_when_cancelled() -> None:
    try:
        await trio.sleep_forever()
    finally:
        raise LookupError("in the clean-up")


async def test_actor_that_returns_has_ended() -> None:
    actor = new_actor()
    assert (actor.state, actor.restarts) == ("waiting", 0)
    await actor.supervise(trio.lowlevel.checkpoint, FOREVER)
    assert (actor.state, actor.restarts) == ("ended", 0)
    assert actor.ended.is_set()


async def test_cancelled_incarnation_is_followed_by_another(autojump_clock: MockClock) -> None:
    observer = RecordingObserver()
    actor = Actor("worker", observer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.supervise, trio.sleep_forever, FOREVER)
        await trio.sleep(1)
        assert actor.state == "running"
        actor.cancel()
        await trio.sleep(1)
        assert (actor.state, actor.restarts) == ("running", 1)
        actor.stop()
    assert actor.state == "ended"
    assert observer.incarnations == [1, 2]
    assert observer.instants == ["cancel", "restart"]


async def test_crashed_incarnation_is_followed_by_another(autojump_clock: MockClock) -> None:
    starts: list[float] = []

    async def crash_once() -> None:
        starts.append(trio.current_time())
        await trio.sleep(1)
        if len(starts) == 1:
            raise LookupError("once")

    actor = new_actor()
    await actor.supervise(crash_once, FOREVER)
    assert len(starts) == 2
    assert (actor.state, actor.restarts) == ("ended", 1)


async def test_cancel_before_the_first_incarnation_reaches_it(autojump_clock: MockClock) -> None:
    actor = new_actor()
    actor.cancel()
    await supervise_for(actor, trio.sleep_forever, 1)
    assert actor.restarts == 1


async def test_stop_before_the_start_prevents_any_incarnation() -> None:
    async def fail() -> None:
        raise AssertionError("an incarnation of a stopped actor started")

    actor = new_actor()
    actor.stop()
    await actor.supervise(fail, FOREVER)
    assert (actor.state, actor.restarts) == ("ended", 0)


@pytest.mark.parametrize("cancel_first", [True, False])
async def test_cancel_at_the_time_of_a_stop_causes_no_restart(cancel_first: bool, autojump_clock: MockClock) -> None:
    actor = new_actor()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.supervise, trio.sleep_forever, FOREVER)
        await trio.sleep(1)
        if cancel_first:
            actor.cancel()
            actor.stop()
        else:
            actor.stop()
            actor.cancel()
    assert (actor.state, actor.restarts) == ("ended", 0)


async def test_stop_between_a_restart_and_its_first_checkpoint_ends_the_actor(autojump_clock: MockClock) -> None:
    starts = 0

    async def stop_when_restarted() -> None:
        nonlocal starts
        starts += 1
        if starts == 2:
            actor.stop()
        await trio.sleep_forever()

    actor = new_actor()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.supervise, stop_when_restarted, FOREVER)
        await trio.sleep(1)
        actor.cancel()
    assert (actor.state, actor.restarts, starts) == ("ended", 1, 2)


async def test_crash_of_a_stopped_actor_causes_no_restart(autojump_clock: MockClock) -> None:
    actor = new_actor()
    await supervise_for(actor, crash_when_cancelled, 1)
    assert (actor.state, actor.restarts) == ("ended", 0)


async def test_crash_of_a_stopped_actor_that_restarted_often_does_not_fail_it(autojump_clock: MockClock) -> None:
    actor = new_actor()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.supervise, crash_when_cancelled, FOREVER)
        for _ in range(MAX_RESTARTS):
            await trio.sleep(0.1)
            actor.cancel()
        await trio.sleep(0.1)
        actor.stop()
    assert (actor.state, actor.restarts) == ("ended", MAX_RESTARTS)


async def test_deadline_ends_the_actor_without_a_restart(autojump_clock: MockClock) -> None:
    actor = new_actor()
    await actor.supervise(trio.sleep_forever, trio.current_time() + 5)
    assert trio.current_time() == pytest.approx(5)
    assert (actor.state, actor.restarts) == ("ended", 0)


async def test_deadline_in_the_past_cancels_the_first_checkpoint(autojump_clock: MockClock) -> None:
    await trio.sleep(10)
    actor = new_actor()
    await actor.supervise(trio.sleep_forever, 5)
    assert (actor.state, actor.restarts) == ("ended", 0)


async def test_crash_at_the_deadline_causes_no_restart(autojump_clock: MockClock) -> None:
    actor = new_actor()
    await actor.supervise(crash_when_cancelled, trio.current_time() + 5)
    assert (actor.state, actor.restarts) == ("ended", 0)


async def test_cancel_from_outside_passes_through_and_ends_the_actor(autojump_clock: MockClock) -> None:
    actor = new_actor()
    with trio.move_on_after(5) as outside:
        await actor.supervise(trio.sleep_forever, FOREVER)
    assert outside.cancelled_caught
    assert (actor.state, actor.restarts) == ("ended", 0)
    assert actor.ended.is_set()


async def test_too_many_restarts_in_the_window_fail_the_actor(autojump_clock: MockClock) -> None:
    async def crash() -> None:
        await trio.sleep(RESTART_WINDOW / (MAX_RESTARTS + 1))
        raise LookupError("again")

    actor = new_actor()
    with pytest.raises(ActorFailedError, match=r"worker ended 6 times in a row: crashed: LookupError: again"):
        await actor.supervise(crash, FOREVER)
    assert (actor.state, actor.restarts) == ("failed", MAX_RESTARTS)
    assert actor.ended.is_set()


async def test_restarts_outside_the_window_dont_add_up(autojump_clock: MockClock) -> None:
    starts = 0

    async def crash_often() -> None:
        nonlocal starts
        starts += 1
        await trio.sleep(RESTART_WINDOW / MAX_RESTARTS)
        if starts <= 3 * MAX_RESTARTS:
            raise LookupError("again")

    actor = new_actor()
    await actor.supervise(crash_often, FOREVER)
    assert (actor.state, actor.restarts) == ("ended", 3 * MAX_RESTARTS)
