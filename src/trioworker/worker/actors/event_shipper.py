"""The event shipper: delivers the posts of the outbox, one at a time and in order, then reports the job's end.

A post that is refused is lost. While the orchestrator can't be reached, everything waits, in order. A post that gets
only 5xx responses for a minute may have content that the orchestrator can't handle, so the next one is tried: if
that one gets through, the first is lost; otherwise the orchestrator is failing, and both wait.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import msgspec
import trio
from loguru import logger

from trioworker.errors import OrchestratorError, ServerFailingError, UnreachableError
from trioworker.protocol import wire
from trioworker.protocol.limits import MAX_KEPT_OUTPUT_BYTES
from trioworker.protocol.text import truncate
from trioworker.worker.state.records import EventDelivered, ReportAccepted, ReportStarted

if TYPE_CHECKING:
    from trioworker.worker.actors.messages import JobEnded, PostWaiting
    from trioworker.worker.cancellation import JobScopes, ReportDelivery
    from trioworker.worker.services import Services
    from trioworker.worker.state.job import Job, Post


SHIP_DELAY = 0.005
"""Seconds that a post waits: its cause often leads to a request to the model too, which should go out first."""

_encode = msgspec.json.Encoder().encode


class EventShipper:
    """Delivers posts until the job has ended and its end is reported, can't be reported, or must not be."""

    def __init__(
        self,
        job: Job,
        services: Services,
        posts: trio.MemoryReceiveChannel[PostWaiting | JobEnded],
        scopes: JobScopes,
        delivery: ReportDelivery,
    ) -> None:
        self._job = job
        self._client = services.client
        self._safety = services.safety
        self._posts = posts
        self._scopes = scopes
        self._delivery = delivery

    async def run(self) -> None:
        """Drain the outbox whenever woken; once the job has ended, report it and return.

        If this run ends without a report, return after the next attempt to drain: the next start delivers the rest.
        """
        with self._posts:
            while True:
                with self._scopes.drain():
                    await self._drain()
                if self._job.outbox_sealed:
                    await self._report()
                    return
                if self._scopes.is_unreported:
                    return
                await self._wait_for_posts()

    async def _wait_for_posts(self) -> None:
        await self._posts.receive()
        # Most messages are about posts that were delivered together with earlier ones.
        while not (self._job.outbox or self._job.outbox_sealed or self._scopes.is_unreported):
            await self._posts.receive()
        if not self._job.outbox_sealed:
            await trio.sleep(SHIP_DELAY)

    async def _drain(self) -> None:
        while self._job.outbox:
            post = self._job.outbox[0]
            # What people have seen must survive a crash: otherwise a restart could give its number to another event.
            await self._job.sync()
            with self._scopes.post():
                await self._deliver(post)

    async def _deliver(self, post: Post) -> None:
        try:
            await self._client.post(post.path, _encode(post.body), self._scopes.post_patience())
        except ServerFailingError as error:
            await self._try_next(post, error)
        except UnreachableError as error:
            _log_waiting(post, error)
        except OrchestratorError as error:
            _log_lost(post, error)
            self._job.commit(EventDelivered(lost=True))
        else:
            self._job.commit(EventDelivered())

    async def _try_next(self, failing: Post, failure: ServerFailingError) -> None:
        """Give up the first post, for which the orchestrator fails, if the next one is accepted or refused."""
        following = self._next_like(failing)
        if following is None:
            _log_waiting(failing, failure)
            return
        await self._job.sync()
        try:
            await self._client.post_once(following.path, _encode(following.body))
        except UnreachableError:
            _log_waiting(failing, failure)
            return
        except OrchestratorError as error:
            _log_lost(following, error)
            answered = EventDelivered(lost=True)
        else:
            answered = EventDelivered()
        _log_lost(failing, failure)
        # A post that isn't the second one is sent again in its turn: only the oldest post can be removed.
        is_second = following is self._job.outbox[1]
        self._job.commit(EventDelivered(lost=True), *((answered,) if is_second else ()))

    def _next_like(self, failing: Post) -> Post | None:
        """The next post that shows whether to give up `failing`: an accepted status proves nothing about an event."""
        later = islice(self._job.outbox, 1, None)
        return next((post for post in later if post.path == "event" or failing.path == "status"), None)

    async def _report(self) -> None:
        decided = self._job.decided
        if decided is None or self._job.report_accepted:
            return
        report = wire.CompletionReport(
            success=decided.status == "completed",
            message=self._message(decided.message),
            iterations=self._job.iteration,
        )
        self._job.commit(ReportStarted())
        await self._job.sync()
        try:
            await self._client.report(report, self._delivery)
        except OrchestratorError as error:
            logger.error("the end of the job could not be reported: {}", error)
        else:
            self._job.commit(ReportAccepted())

    def _message(self, message: str) -> str:
        message = truncate(self._safety.redact(message), MAX_KEPT_OUTPUT_BYTES)
        undelivered = self._job.waiting_events + self._job.lost_events
        if not undelivered:
            return message
        logger.error("{} events could not be delivered", undelivered)
        return f"{message}\n({undelivered} events could not be delivered)"


def _log_waiting(post: Post, error: OrchestratorError) -> None:
    logger.warning("{} {} is still waiting: {}", post.path, post.number, error)


def _log_lost(post: Post, error: OrchestratorError) -> None:
    logger.error("{} {} is lost: {}", post.path, post.number, error)
