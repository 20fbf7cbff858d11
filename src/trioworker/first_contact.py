"""Before there is a job to run: fetching it, and what can stop even that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio
from loguru import logger

from trioworker import wire
from trioworker.errors import BadReplyError, OrchestratorError, RefusedError
from trioworker.llm.conversation import encode_message
from trioworker.llm.prompts import job_prompt, system_prompt
from trioworker.records import Decided, Opened, Posted, Record, ReportAccepted, Said

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioworker.client import OrchestratorClient
    from trioworker.job import Job
    from trioworker.services import Services


class Stop:
    """A wish to stop the job, from a signal or a caller; `reason` is the first one's."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._requested = trio.Event()
        self._listener: Callable[[str], None] | None = None

    def request(self, reason: str) -> None:
        """Ask the job to stop. Asking again tells the listener again, and keeps the first reason."""
        self.reason = self.reason or reason
        self._requested.set()
        if self._listener is not None:
            self._listener(reason)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Have `listener` called at each wish from here on, and at once for one that came before."""
        self._listener = listener
        if self.reason is not None:
            listener(self.reason)

    async def wait(self) -> None:
        """Wait for the first wish."""
        await self._requested.wait()


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """What the orchestrator said of the job.

    `failure` is why the job can't run, where it is known and can't; `over` says that it had ended already.
    """

    description: wire.JobDescription
    credentials: tuple[wire.Credential, ...] = ()
    failure: str = ""
    over: bool = False


UNKNOWN_JOB = wire.JobDescription(title="", description="")


async def first_contact(client: OrchestratorClient, job: Job, stop: Stop) -> Contact:
    """Fetch the job and the credentials granted to it, side by side.

    A job that was resumed from its journal may be over: its report was accepted, or was sent and, since the
    orchestrator knows us no more, had arrived.

    Raises:
        RefusedError: the orchestrator doesn't know the job, or not us.
        UnreachableError: it can't be reached.
    """
    if job.report_accepted:
        return Contact(description=UNKNOWN_JOB, over=True)
    failures: list[OrchestratorError] = []
    description = UNKNOWN_JOB
    credentials: tuple[wire.Credential, ...] = ()

    async def fetch_job() -> None:
        nonlocal description
        try:
            description = await client.job()
        except OrchestratorError as error:
            # Told first, however late it came: without a job nobody asks about its credentials.
            failures.insert(0, error)

    async def fetch_credentials() -> None:
        nonlocal credentials
        try:
            credentials = await client.credentials()
        except OrchestratorError as error:
            failures.append(error)

    async def give_up_when_stopped() -> None:
        await stop.wait()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_up_when_stopped)
        async with trio.open_nursery() as fetching:
            fetching.start_soon(fetch_credentials)
            await fetch_job()
            if failures and not isinstance(failures[0], BadReplyError):
                fetching.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
    refused = any(isinstance(error, RefusedError) and error.status in {401, 404} for error in failures)
    if refused and job.report_began:
        return Contact(description=UNKNOWN_JOB, over=True)
    for error in failures:
        if description is UNKNOWN_JOB and not isinstance(error, BadReplyError):
            raise error
    return Contact(description=description, credentials=credentials, failure=str(failures[0]) if failures else "")


def begin(job: Job, contact: Contact, services: Services, *, now: float) -> None:
    """Open the conversation, or go on with the one that the journal held; `now` is in seconds since the epoch."""
    if contact.over:
        if not job.report_accepted:
            job.commit(ReportAccepted())
        return
    if job.unresumable:
        reason = f"Execution failed: the worker was restarted, and its journal had been given up: {job.unresumable}"
        job.commit(Opened(job_id=services.config.job_id, title="", description="", started_at=now))
        job.commit(Decided(status="failed", message=reason))
    elif not job.opened:
        job.commit(*_opening(contact.description, services, now), _walled(services))
    elif not job.closed:
        restarted = services.events.status(f"The worker was restarted and goes on at iteration {job.iteration}")
        job.commit(restarted, _walled(services))
    if contact.failure:
        job.commit(Decided(status="failed", message=f"Execution failed: {contact.failure}"))


def _opening(described: wire.JobDescription, services: Services, now: float) -> tuple[Record, ...]:
    return (
        Opened(job_id=services.config.job_id, title=described.title, description=described.description, started_at=now),
        _said("system", system_prompt(described, services.registry.definitions)),
        _said("user", job_prompt(described)),
        services.events.progress("Worker started, beginning execution", 0),
    )


def _walled(services: Services) -> Posted:
    """How commands are confined, told to whoever watches."""
    wall = services.wall
    services.tracer.instant("containment", level=wall.level, gap=wall.gap)
    if wall.gap and services.config.containment != "off":
        logger.warning(wall.told)
    return services.events.status(wall.told)


def _said(role: wire.Role, content: str) -> Said:
    return Said(role=role, message=encode_message(wire.Message(role=role, content=content)))
