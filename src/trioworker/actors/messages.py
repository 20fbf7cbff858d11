"""What actors say to each other. The news itself stands in the `Job`; a message wakes who should look."""

from __future__ import annotations

from contextlib import suppress
from typing import TypeVar

import msgspec
import trio


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The base of all messages between actors."""


class TurnOpened(Message, frozen=True):
    """Reasoner to executor: the turn of this iteration has calls to run."""

    iteration: int


class TurnSettled(Message, frozen=True):
    """Executor to reasoner: every call of the turn has its answer."""

    iteration: int


class FollowUpWaiting(Message, frozen=True):
    """Poller to reasoner: a follow-up came, the `number`th of this incarnation of the poller."""

    number: int


class PostWaiting(Message, frozen=True):
    """To the shipper: post `number` is in the outbox."""

    number: int


class Farewell(Message, frozen=True):
    """To the shipper, its last message: the job has ended, ship what waits and report."""


M = TypeVar("M", bound=Message)


def wake(channel: trio.MemorySendChannel[M], message: M) -> None:
    """Send to someone who only needs waking: a full channel wakes as well as one message more."""
    with suppress(trio.WouldBlock):
        channel.send_nowait(message)
