"""The prompt poller: asks for follow-up prompts while the reasoner works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from loguru import logger

from trioworker.actors.messages import FollowUpWaiting
from trioworker.client import POLL
from trioworker.errors import OrchestratorError, RefusedError, UnreachableError
from trioworker.records import FollowUpCame, PollingEnded

if TYPE_CHECKING:
    from trioworker.job import Job
    from trioworker.services import Services

SLOWEST_POLL = 10.0
"""Seconds between two looks after repeated errors, unless the orchestrator asks for more."""


class PollShield:
    """Keeps a poll that is under way from being cancelled: the orchestrator hands a prompt out once, so an answer that
    nobody reads is a prompt lost. `release` gives the shield up, for when the job has ended and no prompt matters.
    """

    def __init__(self) -> None:
        self._scope: trio.CancelScope | None = None
        self._released = False

    def scope(self) -> trio.CancelScope:
        """The scope to poll in, shielded for as long as one poll may take."""
        self._scope = trio.CancelScope(shield=not self._released, deadline=trio.current_time() + POLL.total)
        return self._scope

    def release(self) -> None:
        """Let cancellation through, now and later."""
        self._released = True
        if self._scope is not None:
            self._scope.shield = False


class PromptPoller:
    """Fetches follow-ups into the job until there will be no more."""

    def __init__(
        self, job: Job, services: Services, follow_ups: trio.MemorySendChannel[FollowUpWaiting], shield: PollShield
    ) -> None:
        self._job = job
        self._client = services.client
        self._interval = services.config.poll_interval
        self._follow_ups = follow_ups
        self._shield = shield

    async def run(self) -> None:
        """Poll at the configured interval, less often after errors, until `done` or a refusal."""
        pause = self._interval
        with self._follow_ups:
            while not self._job.polling_ended:
                try:
                    came = await self._poll()
                except RefusedError as error:
                    logger.warning("no follow-up prompts any more: {}", error)
                    self._job.commit(PollingEnded())
                except OrchestratorError as error:
                    logger.debug("{}", error)
                    asked = error.pause if isinstance(error, UnreachableError) else 0.0
                    pause = max(asked, min(SLOWEST_POLL, pause * 2))
                else:
                    pause = self._interval
                    if came:
                        await self._follow_ups.send(FollowUpWaiting(number=len(self._job.follow_ups)))
                        continue
                await trio.sleep(pause)

    async def _poll(self) -> bool:
        """Whether a follow-up came; it is in the job before anything here can be cancelled."""
        with self._shield.scope():
            prompt = await self._client.prompt()
            if prompt is None:
                return False
            ended = (PollingEnded(),) if prompt.done else ()
            self._job.commit(FollowUpCame(content=prompt.content), *ended)
            await self._job.sync()
            return True
        return False
