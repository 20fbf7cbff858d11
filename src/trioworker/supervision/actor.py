"""One-for-one supervision, as in Erlang/OTP: an actor that was cancelled or crashed is started again.

Each start is an incarnation, which runs in a cancel scope of its own. Only a cancel of that scope is a reason to
restart; `Cancelled` from outside passes through untouched. An actor that ends too often fails.
"""

from __future__ import annotations

import traceback
from collections import deque
from typing import TYPE_CHECKING, Literal, Protocol

import trio
from loguru import logger

from trioworker.errors import ActorFailedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

MAX_RESTARTS = 5
RESTART_WINDOW = 10.0
"""An actor fails if it needs more than this many restarts within this many seconds (design, rule 4)."""

ActorState = Literal["waiting", "running", "ended", "failed"]


class Observer(Protocol):
    """Observes incarnations, cancels and restarts; a `Tracer` is one."""

    def span(
        self, kind: Literal["actor"], name: str, *, track: str = "", **attributes: str | float | bool
    ) -> AbstractContextManager[object]:
        """Entered for as long as an incarnation runs."""
        ...

    def instant(self, name: str, *, track: str = "", **attributes: str | float | bool) -> None:
        """An actor was cancelled, or is about to be restarted."""
        ...


class Actor:
    """A supervised actor, as a test or a harness holds it.

    Attributes:
        name: the name under which it is supervised.
        state: `waiting` before its first incarnation, then `running`, finally `ended` or `failed`.
        restarts: the number of times it was started again.
        ended: set when no incarnation will follow.
    """

    def __init__(self, name: str, observer: Observer) -> None:
        self.name = name
        self.state: ActorState = "waiting"
        self.restarts = 0
        self.ended = trio.Event()
        self._observer = observer
        self._stopping = False
        self._scope = trio.CancelScope()

    def __repr__(self) -> str:
        return f"<Actor {self.name} {self.state}, {self.restarts} restarts>"

    def cancel(self) -> None:
        """Cancel the running incarnation, or the next one if none runs; another follows unless the actor has ended."""
        self._observer.instant("cancel", track=self.name)
        self._scope.cancel()

    def stop(self) -> None:
        """Cancel the running incarnation, and start no other."""
        self._stopping = True
        self._scope.cancel()

    async def supervise(self, start: Callable[[], Awaitable[None]], deadline: float) -> None:
        """Run one incarnation after another until one returns, `stop` is called, or `deadline` passes.

        Args:
            start: runs one incarnation.
            deadline: in seconds of trio's clock.

        Raises:
            ActorFailedError: it ended more often than `MAX_RESTARTS` in `RESTART_WINDOW` seconds.
        """
        recent: deque[float] = deque(maxlen=MAX_RESTARTS)
        try:
            while not self._stopping and (reason := await self._run_once(start, deadline)) is not None:
                now = trio.current_time()
                if len(recent) == MAX_RESTARTS and now - recent[0] < RESTART_WINDOW:
                    self.state = "failed"
                    raise ActorFailedError(f"the actor {self.name} ended {MAX_RESTARTS + 1} times in a row: {reason}")
                recent.append(now)
                self.restarts += 1
                self._observer.instant("restart", track=self.name, reason=reason.partition(":")[0])
                logger.warning("{}: {}; started again", self.name, reason)
        finally:
            if self.state != "failed":
                self.state = "ended"
            self.ended.set()

    async def _run_once(self, start: Callable[[], Awaitable[None]], deadline: float) -> str | None:
        """Run one incarnation. Returns why another must follow, or None."""
        self.state = "running"
        scope = self._scope
        scope.deadline = deadline
        try:
            with scope, self._observer.span("actor", self.name, track=self.name, incarnation=self.restarts + 1):
                await start()
        except Exception as error:
            reason = f"crashed: {type(error).__name__}: {error}"
            # As text: the log of a program that embeds the job might show the values of variables, which may be secret.
            logger.debug("{} {}\n{}", self.name, reason, "".join(traceback.format_exception(error)))
        else:
            reason = "cancelled" if scope.cancelled_caught else None
        finally:
            self._scope = trio.CancelScope()
        if not self._stopping and trio.current_time() < deadline:
            return reason
        if reason not in {None, "cancelled"}:
            logger.warning("{}: {} while it was stopped", self.name, reason)
        return None
