"""What each signal does to a fleet."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from trioworker.fleet.stopping import Stop, stop_on_signals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


async def after(*numbers: int) -> tuple[bool, bool, int, list[str]]:
    """Whether the fleet drains and cancels after the signals, how often it was killed, and what was shown."""
    shown: list[str] = []
    killed: list[None] = []
    stop = Stop()

    async def signals() -> AsyncIterator[int]:
        for number in numbers:
            yield number

    await stop_on_signals(signals(), stop, lambda: 3, shown.append, lambda: killed.append(None))
    return stop.draining.is_set(), stop.cancelling.is_set(), len(killed), shown


async def test_first_interrupt_waits_for_what_runs() -> None:
    drains, cancels, kills, (shown,) = await after(INT)
    assert (drains, cancels, kills) == (True, False, 0)
    assert shown == "stopping: starting no more, waiting for 3 running; press Ctrl-C again to cancel"


async def test_second_interrupt_cancels_and_third_kills() -> None:
    drains, cancels, kills, shown = await after(INT, INT)
    assert (drains, cancels, kills) == (True, True, 0)
    assert shown[1] == "stopping: cancelling 3 running; press Ctrl-C again to kill"
    assert (await after(INT, INT, INT))[2] == 1


@pytest.mark.parametrize("number", [TERM, HUP])
async def test_other_signal_cancels_at_once(number: int) -> None:
    assert (await after(number))[:3] == (True, True, 0)
    assert (await after(INT, number))[:3] == (True, True, 0)
    assert (await after(number, INT))[2] == 1
