"""Keeps requests within the context of the model and the size that the orchestrator accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.protocol.limits import KIB, MAX_REQUEST_BYTES, REQUEST_RESERVE_BYTES
from trioworker.worker.state.records import ContextLimitLowered, HistoryCompacted, Record

if TYPE_CHECKING:
    from trioworker.errors import ContextLengthError
    from trioworker.worker.services import Services
    from trioworker.worker.state.job import Job

MIN_TURNS_BYTES = 8 * KIB
"""The room for turns after an opening that exceeds the limit by itself: without any, the model could only guess."""


class ContextFitting:
    """Compacts the conversation of a job. Every method commits at once and awaits nothing."""

    def __init__(self, job: Job, services: Services) -> None:
        self._job = job
        self._events = services.events
        self._configured = services.config.context_limit
        self._max_tokens = services.config.max_tokens
        self._tools_size = len(bytes(services.registry.encoded))

    def request_size(self, *, with_tools: bool) -> int:
        """The bytes of the next request."""
        tools = self._tools_size if with_tools or self._job.conversation.has_calls else 0
        return self._job.conversation.size + tools

    def check_opening(self) -> list[Record]:
        """A status for people if the job's text leaves too little of the limit for turns. It is sent anyway."""
        opening = self._job.conversation.opening_size + self._tools_size
        if opening + MIN_TURNS_BYTES <= self._allowed():
            return []
        context = self._job.context_limit
        return [
            self._events.status(
                f"The job's text and the tools take about {context.tokens(opening)} of {self._configured} tokens "
                "(--context-limit): requests will exceed the limit, and only the last results stay in the conversation"
            )
        ]

    def compact(self) -> list[Record]:
        """Bring the conversation within its limit. Returns the status for people, if anything was compacted."""
        before, limit = self._job.conversation.size, self._limit()
        if before <= limit:
            return []
        self._job.commit(HistoryCompacted(limit=limit))
        after = self._job.conversation.size
        if after == before:
            return []
        sizes = f"from {before // KIB} to {after // KIB} KiB"
        return [self._events.status(f"Old messages were compacted to keep the conversation short: {sizes}")]

    def shrink(self, refused: int, error: ContextLengthError) -> list[Record]:
        """Lower the limit after a request of `refused` bytes was too long for the model, and compact to the new one.

        Raises:
            ContextLengthError: `error`, if nothing is left to shorten.
        """
        context = self._job.context_limit
        limit = context.limit_after_refusal(refused, self._configured, self._max_tokens, error.limit)
        self._job.commit(ContextLimitLowered(limit=limit))
        statuses = self.compact()
        if not statuses:
            raise error
        return [self._events.status(f"The conversation is too long for the model: the limit is now {limit} tokens")]

    def _allowed(self) -> int:
        return self._job.context_limit.request_bytes(self._configured, self._max_tokens)

    def _limit(self) -> int:
        """The bytes that the messages may have."""
        allowed = self._allowed()
        if self._job.context_limit.lowered is None:
            allowed = max(allowed, self._job.conversation.opening_size + self._tools_size + MIN_TURNS_BYTES)
        return min(allowed - self._tools_size, MAX_REQUEST_BYTES - REQUEST_RESERVE_BYTES)
