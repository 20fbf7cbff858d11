"""The prompt poller: asks for follow-up prompts while the job runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from loguru import logger

from trioworker.errors import OrchestratorError, RefusedError, UnreachableError
from trioworker.worker.actors.messages import FollowUpWaiting
from trioworker.worker.client.orchestrator_client import POLL_LIMITS
from trioworker.worker.state.records import FollowUpReceived, PollingEnded

if TYPE_CHECKING:
    from trioworker.worker.cancellation import JobScopes
    from trioworker.worker.services import Services
    from trioworker.worker.state.job import Job

MAX_POLL_INTERVAL = 10.0
"""Seconds between two polls after repeated errors, unless the orchestrator asks for more."""


class PromptPoller:
    """Fetches follow-ups into the job until no more will come."""

    def __init__(
        self, job: Job, services: Services, follow_ups: trio.MemorySendChannel[FollowUpWaiting], scopes: JobScopes
    ) -> None:
        self._job = job
        self._client = services.client
        self._interval = services.config.poll_interval
        self._follow_ups = follow_ups
        self._scopes = scopes

    async def run(self) -> None:
        """Poll at the configured interval, less often after errors, until `done` or a refusal."""
        pause = self._interval
        with self._follow_ups:
            while not self._job.polling_ended:
                try:
                    received = await self._poll()
                except RefusedError as error:
                    logger.warning("no more follow-up prompts: {}", error)
                    self._job.commit(PollingEnded())
                except OrchestratorError as error:
                    logger.debug("{}", error)
                    retry_after = error.retry_after if isinstance(error, UnreachableError) else 0.0
                    pause = max(retry_after, min(MAX_POLL_INTERVAL, pause * 2))
                else:
                    pause = self._interval
                    if received:
                        await self._follow_ups.send(FollowUpWaiting(number=len(self._job.follow_ups)))
                        continue
                await trio.sleep(pause)

    async def _poll(self) -> bool:
        """Whether a follow-up was received; if so, it is in the job before anything here can be cancelled.

        Raises:
            OrchestratorError: the poll was refused, or hung until its time-out.
        """
        with self._scopes.poll(POLL_LIMITS.total):
            prompt = await self._client.prompt()
            if prompt is None:
                return False
            ended = (PollingEnded(),) if prompt.done else ()
            self._job.commit(FollowUpReceived(content=prompt.content), *ended)
            await self._job.sync()
            return True
        raise UnreachableError(f"GET prompt: no answer within {POLL_LIMITS.total:g} s")
