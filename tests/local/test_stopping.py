"""What a signal does before the job runs."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio

from trioworker.local.stopping import unless_stopped
from trioworker.supervision.nurseries import unwrap_single_exception

if TYPE_CHECKING:
    from trio.testing import MockClock


async def wait_for_a_lock() -> str:
    await trio.sleep(20)
    return "opened"


async def test_a_call_without_a_signal_returns_its_result(autojump_clock: MockClock) -> None:
    with trio.open_signal_receiver(signal.SIGUSR1) as signals:
        assert await unless_stopped(signals, wait_for_a_lock) == ("opened", False)


async def test_a_signal_cancels_the_call_at_once(autojump_clock: MockClock) -> None:
    with trio.open_signal_receiver(signal.SIGUSR1) as signals:
        signal.raise_signal(signal.SIGUSR1)
        assert await unless_stopped(signals, wait_for_a_lock) == (None, True)
    assert trio.current_time() < 1


async def test_a_result_is_kept_if_the_signal_comes_too_late_to_cancel(autojump_clock: MockClock) -> None:
    with trio.open_signal_receiver(signal.SIGUSR1) as signals:

        async def open_shielded() -> str:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            return "opened"

        signal.raise_signal(signal.SIGUSR1)
        assert await unless_stopped(signals, open_shielded) == ("opened", True)


async def test_an_error_of_the_call_is_raised() -> None:
    async def fail() -> None:
        raise ValueError("no")

    with (
        trio.open_signal_receiver(signal.SIGUSR1) as signals,
        pytest.raises(ValueError, match="no"),
        unwrap_single_exception(),
    ):
        await unless_stopped(signals, fail)
