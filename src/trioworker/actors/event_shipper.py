"""The event shipper: sends what the outbox holds, in order and one at a time, and then how the job ended."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import trio
from loguru import logger

from trioworker import wire
from trioworker.errors import OrchestratorError, UnreachableError
from trioworker.limits import MAX_KEPT_OUTPUT_BYTES
from trioworker.llm.text import truncate
from trioworker.records import ReportAccepted, ReportBegan, Shipped

if TYPE_CHECKING:
    from trioworker.actors.messages import Farewell, PostWaiting
    from trioworker.client import Delivery
    from trioworker.job import Job, Post
    from trioworker.services import Services


COURTESY = 0.005
"""Seconds that a post waits: what has just happened mostly leads to a request to the model, which goes out first."""

_encode = msgspec.json.Encoder().encode


PATIENCE_SHARE = 1 / 3
LEAST_PATIENCE = 0.5
"""The part of the time left, and the seconds at the least, that one post may take: a connection that stalls must not
cost the others their time."""


class DrainLimit:
    """Until when posts may still be shipped before the report has to go out; it moves when the farewell begins."""

    def __init__(self) -> None:
        self._deadline = math.inf
        self._scope: trio.CancelScope | None = None
        self._patience: trio.CancelScope | None = None

    def scope(self) -> trio.CancelScope:
        """The scope to drain in."""
        self._scope = trio.CancelScope(deadline=self._deadline)
        return self._scope

    def patience(self) -> trio.CancelScope:
        """The scope to ship one post in; if it is cancelled, that post is to be shipped once more."""
        self._patience = trio.CancelScope(deadline=self._patient_until())
        return self._patience

    def move(self, deadline: float) -> None:
        """Set the limit, also for a drain that is under way."""
        self._deadline = deadline
        if self._scope is not None:
            self._scope.deadline = deadline
        if self._patience is not None:
            self._patience.deadline = self._patient_until()

    def _patient_until(self) -> float:
        now = trio.current_time()
        return now + max(LEAST_PATIENCE, (self._deadline - now) * PATIENCE_SHARE)


class EventShipper:
    """Ships until the job has ended and its end is reported, or can't be."""

    def __init__(
        self,
        job: Job,
        services: Services,
        posts: trio.MemoryReceiveChannel[PostWaiting | Farewell],
        limit: DrainLimit,
        delivery: Delivery,
    ) -> None:
        self._job = job
        self._client = services.client
        self._safety = services.safety
        self._posts = posts
        self._limit = limit
        self._delivery = delivery

    async def run(self) -> None:
        """Ship what waits whenever woken; once the job has ended, report it and return."""
        with self._posts:
            while True:
                with self._limit.scope():
                    await self._drain()
                if self._job.closed:
                    await self._report()
                    return
                await self._woken()

    async def _woken(self) -> None:
        """Wait until there is something to ship, or the job has ended."""
        await self._posts.receive()
        # Most of what wakes tells of posts that went out with the ones before them.
        while not (self._job.outbox or self._job.closed):
            await self._posts.receive()
        if not self._job.closed:
            await trio.sleep(COURTESY)

    async def _drain(self) -> None:
        while self._job.outbox:
            post = self._job.outbox[0]
            # What people were told must not be forgotten: a restart would tell something else under the same number.
            await self._job.sync()
            with self._limit.patience():
                await self._ship(post)

    async def _ship(self, post: Post) -> None:
        try:
            await self._client.post(post.path, _encode(post.body))
        except UnreachableError as error:
            logger.warning("{} {} still waits: {}", post.path, post.number, error)
        except OrchestratorError as error:
            logger.error("{} {} is lost: {}", post.path, post.number, error)
            self._job.commit(Shipped(lost=True))
        else:
            self._job.commit(Shipped())

    async def _report(self) -> None:
        decided = self._job.decided
        if decided is None or self._job.report_accepted:
            return
        message = wire.CompletionReport(
            success=decided.status == "completed",
            message=self._message(decided.message),
            iterations=self._job.iteration,
        )
        self._job.commit(ReportBegan())
        await self._job.sync()
        try:
            await self._client.report(message, self._delivery)
        except OrchestratorError as error:
            logger.error("the end of the job could not be reported: {}", error)
        else:
            self._job.commit(ReportAccepted())

    def _message(self, message: str) -> str:
        message = truncate(self._safety.redact(message), MAX_KEPT_OUTPUT_BYTES)
        undelivered = len(self._job.outbox) + self._job.lost_posts
        if not undelivered:
            return message
        logger.error("{} events could not be delivered", undelivered)
        return f"{message}\n({undelivered} events could not be delivered)"
