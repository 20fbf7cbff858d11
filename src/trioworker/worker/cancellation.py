"""Every cancel scope of a job that has more than one owner: who opens it, its deadline, and what cancels it.

`docs/architecture.md` draws the whole tree. The scopes here outlive an incarnation of the actor that enters them, or
are moved from outside while one is in them: by a stop, by a signal, or by the shutdown.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import trio

from trioworker.errors import RefusedError, ReleasedError

if TYPE_CHECKING:
    from types import TracebackType

    from trioworker.errors import SupersededError

    Unreported = SupersededError | ReleasedError

SHUTDOWN_TIMEOUT = 60.0
"""Seconds that the shutdown of a job that ended by itself may take (design, rule 7)."""
CLEANUP_SHARE = 0.5
"""The part of a shutdown spent waiting for tools: one that can't be cancelled must not prevent the report."""
REPORT_SHARE = 0.35
"""The part of a shutdown that is reserved for the report when events can't be delivered."""
POST_PATIENCE = 60.0
"""Seconds for which a post may get only 5xx responses before the next one is tried; during the shutdown, half of what a
post may take, if that is less.
"""
POST_SHARE = 1 / 3
MIN_POST_TIMEOUT = 0.5
"""The part of the remaining time, and the minimum in seconds, that one post may take during the shutdown: a stalled
connection must not use up the time of the others.
"""


class Stoppable(Protocol):
    """What a `StopRequest` stops."""

    def stop_on_signal(self, reason: str) -> None:
        """See `RunningJob`."""
        ...

    def suspend(self, reason: str) -> None:
        """See `RunningJob`."""
        ...


class StopRequest:
    """A request to stop or suspend the job, from a signal or a caller; it may come before the job is fetched.

    Attributes:
        reason: the reason of the first request to stop, None until there is one.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._suspended_by: str | None = None
        self._requested = trio.Event()
        self._job: Stoppable | None = None

    def request(self, reason: str) -> None:
        """Ask the job to stop. A further request is passed on, and the first reason is kept."""
        self.reason = self.reason or reason
        self._requested.set()
        if self._job is not None:
            self._job.stop_on_signal(reason)

    def suspend(self, reason: str) -> None:
        """Ask the job to stop without a report, so that it can be resumed; running it raises `ReleasedError`."""
        if self.reason is None:
            self._suspended_by = self._suspended_by or reason
        self._requested.set()
        if self._job is not None:
            self._job.suspend(reason)

    def pass_to(self, job: Stoppable) -> None:
        """Pass all further requests on to `job`, and immediately pass on one that came before."""
        self._job = job
        if self.reason is not None:
            job.stop_on_signal(self.reason)

    def raise_if_suspended(self) -> None:
        """Raise `ReleasedError` if the job was suspended before it was fetched: nothing has happened yet."""
        if self._suspended_by is not None:
            raise suspension(self._suspended_by)

    async def wait(self) -> None:
        """Wait for the first request."""
        await self._requested.wait()


def suspension(reason: str) -> ReleasedError:
    """The error of a suspended job."""
    return ReleasedError(f"{reason}; the job was not reported, and the next worker with this --state-dir resumes it")


class ReportDelivery:
    """How far `POST complete` got. As a context manager it is entered for each attempt.

    Attributes:
        awaits_answer: the whole body of the current attempt was sent, and no answer has come.
        may_have_arrived: an attempt whose body was sent ended without a refusal.
    """

    def __init__(self, *, may_have_arrived: bool = False) -> None:
        self.may_have_arrived = may_have_arrived
        self.awaits_answer = False

    def __enter__(self) -> None:
        self.awaits_answer = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.may_have_arrived |= self.awaits_answer and not isinstance(error, RefusedError)
        self.awaits_answer = False

    def body_sent(self) -> None:
        """Note that the whole body of this attempt was sent."""
        self.awaits_answer = True


class JobScopes:
    """The cancel scopes of one job's run.

    Attributes:
        deadline: the job's, in seconds of trio's clock.
        shutdown: around everything; shielded, so that a cancel from outside never prevents the report. It gets its
            deadline when the job is stopped or the shutdown begins: a job that was frozen until after its deadline,
            or is resumed then, still has the time to report.
        cleanup: around the wait for the tools to end.
    """

    def __init__(self, *, deadline: float, grace: float) -> None:
        """`grace` is the seconds that the shutdown has after the deadline."""
        self.deadline = deadline
        self.shutdown = trio.CancelScope(shield=True)
        self._grace = grace
        self.cleanup = trio.CancelScope()
        self._drain = trio.CancelScope()
        self._drain_deadline = math.inf
        self._post = trio.CancelScope()
        self._poll = trio.CancelScope()
        self._polls_are_shielded = True
        self._unreported: Unreported | None = None

    def begin_shutdown(self) -> trio.CancelScope:
        """Limit the shutdown to `SHUTDOWN_TIMEOUT`, or the job's deadline plus the grace, and return `cleanup`."""
        left = max(0.0, self.deadline - trio.current_time())
        self.shorten_deadline(min(SHUTDOWN_TIMEOUT, left + self._grace))
        return self.cleanup

    def shorten_deadline(self, seconds: float) -> None:
        """Limit the shutdown to `seconds` from now, a part of which is reserved for the report."""
        now = trio.current_time()
        self.shutdown.deadline = min(self.shutdown.deadline, now + seconds)
        left = self.shutdown.deadline - now
        self.cleanup.deadline = min(self.cleanup.deadline, now + left * CLEANUP_SHARE)
        self._drain_deadline = self.shutdown.deadline - left * REPORT_SHARE
        self._drain.deadline = self._drain_deadline
        self._post.deadline = self._post_deadline()

    def drain(self) -> trio.CancelScope:
        """A scope to deliver posts in; the shutdown gives it the deadline at which the report has to go out."""
        self._drain = trio.CancelScope(deadline=self._drain_deadline)
        return self._drain

    def post(self) -> trio.CancelScope:
        """A scope to deliver one post in; a post that it cancels is to be sent again."""
        self._post = trio.CancelScope(deadline=self._post_deadline())
        return self._post

    def post_patience(self) -> float:
        """Seconds for which the current post may get only 5xx responses."""
        return min(POST_PATIENCE, max(0.0, self._post.deadline - trio.current_time()) / 2)

    def poll(self, timeout: float) -> trio.CancelScope:
        """A scope to poll in, of at most `timeout` seconds, shielded until `unshield_polls`.

        The orchestrator hands a prompt out once: a cancelled poll could lose the answer.
        """
        shield = self._polls_are_shielded
        self._poll = trio.CancelScope(shield=shield, deadline=trio.current_time() + timeout)
        return self._poll

    def unshield_polls(self) -> None:
        """Let a cancel reach the current poll and those to come: the job has ended, and no prompt matters."""
        self._polls_are_shielded = False
        self._poll.shield = False

    def leave_unreported(self, error: Unreported) -> None:
        """Make this run end without a report once the posts are delivered: a later start of the job does the rest."""
        self._unreported = self._unreported or error

    def end_unreported(self, error: Unreported) -> None:
        """Cancel everything, without a record or a report: a later start of the job does the rest."""
        self.leave_unreported(error)
        self.unshield_polls()
        self.shutdown.cancel()

    @property
    def is_unreported(self) -> bool:
        """Whether this run ends without a report."""
        return self._unreported is not None

    def raise_if_unreported(self) -> None:
        """Raise the error with which this run ends without a report, if it does."""
        if self._unreported is not None:
            raise self._unreported

    def _post_deadline(self) -> float:
        now = trio.current_time()
        return now + max(MIN_POST_TIMEOUT, (self._drain_deadline - now) * POST_SHARE)
