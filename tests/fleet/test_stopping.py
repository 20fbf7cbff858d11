"""What each signal does to a fleet."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio

from trioworker.fleet.stopping import Stop, quit_after, stop_on_signals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


async def after(*numbers: int) -> tuple[bool, bool, int, list[str]]:
    """Whether the fleet drains and cancels after the signals, how often it quit, and what was shown."""
    shown: list[str] = []
    quits: list[None] = []
    stop = Stop()

    async def signals() -> AsyncIterator[int]:
        for number in numbers:
            yield number

    await stop_on_signals(signals(), stop, lambda: 3, shown.append, lambda: quits.append(None))
    return stop.draining.is_set(), stop.cancelling.is_set(), len(quits), shown


async def test_first_interrupt_waits_for_what_runs() -> None:
    drains, cancels, quits, (shown,) = await after(INT)
    assert (drains, cancels, quits) == (True, False, 0)
    assert shown == "stopping: starting no more, waiting for 3 running; press Ctrl-C again to cancel"


async def test_second_interrupt_cancels_and_third_quits() -> None:
    drains, cancels, quits, shown = await after(INT, INT)
    assert (drains, cancels, quits) == (True, True, 0)
    assert shown[1] == "stopping: cancelling 3 running; press Ctrl-C again to quit at once"
    _, _, quits, shown = await after(INT, INT, INT)
    assert (quits, shown[2]) == (1, "quitting with 3 running")


@pytest.mark.parametrize("number", [TERM, HUP])
async def test_other_signal_cancels_at_once(number: int) -> None:
    assert (await after(number))[:3] == (True, True, 0)
    assert (await after(INT, number))[:3] == (True, True, 0)
    assert (await after(number, INT))[2] == 1


async def test_cancelled_fleet_quits_if_its_workers_have_not_stopped_in_time(autojump_clock: MockClock) -> None:
    shown: list[str] = []
    stop, started_at = Stop(), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(quit_after, 45.0, stop, shown.append, nursery.cancel_scope.cancel)
        await trio.sleep(100)
        stop.cancel()
        await trio.sleep(100)
    assert trio.current_time() - started_at == pytest.approx(145)
    assert shown == ["quitting: not all workers stopped within 45 s"]
