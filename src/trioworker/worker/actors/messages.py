"""Messages between actors. The state is in the `Job`; a message only wakes the receiver, so losing one does no harm."""

from __future__ import annotations

from contextlib import suppress
from typing import TypeVar

import msgspec
import trio


class WakeUp(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The base of all messages between actors."""


class TurnOpened(WakeUp, frozen=True):
    """Reasoner to executor: the turn of this iteration has calls to run."""

    iteration: int


class TurnSettled(WakeUp, frozen=True):
    """Executor to reasoner: every call of the turn has its answer."""

    iteration: int


class FollowUpWaiting(WakeUp, frozen=True):
    """Poller to reasoner: a follow-up was received, the `number`th of this incarnation of the poller."""

    number: int


class PostWaiting(WakeUp, frozen=True):
    """To the shipper: post `number` is in the outbox."""

    number: int


class JobEnded(WakeUp, frozen=True):
    """To the shipper, its last message: drain the outbox, and report, unless the job was suspended."""


M = TypeVar("M", bound=WakeUp)


def wake(channel: trio.MemorySendChannel[M], message: M) -> None:
    """Send a message without waiting; a full channel wakes its receiver as well as one message more."""
    with suppress(trio.WouldBlock):
        channel.send_nowait(message)
