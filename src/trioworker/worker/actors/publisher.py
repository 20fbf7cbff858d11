"""How an actor changes the job: records are committed at once, and a full queue of the shipper slows the actor down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import trio

from trioworker.worker.actors.messages import PostWaiting

if TYPE_CHECKING:
    from types import TracebackType

    from trioworker.observability.spans import Tracer
    from trioworker.worker.state.job import Job
    from trioworker.worker.state.records import Record


class Publisher:
    """Commits records to the job and wakes the shipper for the posts among them. Closes its channel on exit."""

    def __init__(self, job: Job, channel: trio.MemorySendChannel[PostWaiting], tracer: Tracer) -> None:
        self._job = job
        self._channel = channel
        self._tracer = tracer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    async def commit(self, *changes: Record) -> None:
        """Commit, then wait while the shipper's queue is full. A cancel while waiting loses nothing: the job has it."""
        known = self._job.posts
        self._job.commit(*changes)
        for number in range(known + 1, self._job.posts + 1):
            await self._wake_shipper(PostWaiting(number=number))

    async def _wake_shipper(self, message: PostWaiting) -> None:
        try:
            self._channel.send_nowait(message)
        except trio.WouldBlock:
            with self._tracer.span("wait", "room in the queue"):
                await self._channel.send(message)
        else:
            await trio.lowlevel.checkpoint()
