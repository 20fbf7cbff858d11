"""One-for-one supervision, as in Erlang/OTP: an actor that was cancelled or crashed is started again.

Only a cancel of the actor's own scope is a reason to restart; `Cancelled` from outside passes through untouched. An
actor that ends too often fails the job.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

import trio
from loguru import logger

from trioworker.errors import ActorFailedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trioworker.observe.spans import Tracer

MAX_RESTARTS = 5
RESTART_WINDOW = 10.0
"""Restarts of one actor in so many seconds, after which the job fails (design, rule 4)."""

ActorState = Literal["waiting", "running", "ended", "failed"]


class Actor:
    """An actor of a running job, as a test or a harness holds it.

    Attributes:
        name: `prompt-poller`, `reasoner`, `tool-executor` or `event-shipper`.
        state: where it is in its life.
        restarts: how often it was started again.
    """

    def __init__(self, name: str, tracer: Tracer) -> None:
        self.name = name
        self._tracer = tracer
        self.state: ActorState = "waiting"
        self.restarts = 0
        self._scope = trio.CancelScope()

    def __repr__(self) -> str:
        return f"<Actor {self.name} {self.state}, {self.restarts} restarts>"

    def cancel(self) -> None:
        """Cancel the incarnation that runs, or is about to; another is started unless the actor has ended."""
        self._tracer.instant("cancel", track=self.name)
        self._scope.cancel()

    async def supervise(self, incarnate: Callable[[], Awaitable[None]], deadline: float) -> None:
        """Run incarnation after incarnation until one returns or `deadline` (in trio's time) has passed.

        Raises:
            ActorFailedError: it ended more often than `MAX_RESTARTS` in `RESTART_WINDOW` seconds.
        """
        recent: deque[float] = deque(maxlen=MAX_RESTARTS)
        while (reason := await self._run_once(incarnate, deadline)) is not None:
            now = trio.current_time()
            if len(recent) == MAX_RESTARTS and now - recent[0] < RESTART_WINDOW:
                self.state = "failed"
                raise ActorFailedError(f"the actor {self.name} ended {MAX_RESTARTS + 1} times in a row: {reason}")
            recent.append(now)
            self.restarts += 1
            self._tracer.instant("restart", track=self.name, reason=reason.partition(":")[0])
            logger.warning("{}: {}; started again", self.name, reason)
        self.state = "ended"

    async def _run_once(self, incarnate: Callable[[], Awaitable[None]], deadline: float) -> str | None:
        """One life. Why it must be started again, or None."""
        self.state = "running"
        scope = self._scope
        scope.deadline = deadline
        try:
            with scope, self._tracer.span("actor", self.name, track=self.name, life=self.restarts + 1):
                await incarnate()
        except Exception as error:
            logger.opt(exception=error).debug("{} crashed", self.name)
            return f"crashed: {type(error).__name__}: {error}"
        finally:
            self._scope = trio.CancelScope()
        return "cancelled" if scope.cancelled_caught and trio.current_time() < deadline else None
