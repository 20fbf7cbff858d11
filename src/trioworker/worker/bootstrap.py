"""Before the actors run: fetching the job, and opening it or resuming it from its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from loguru import logger

from trioworker.errors import BadReplyError, OrchestratorError, RefusedError, SupersededError
from trioworker.protocol import wire
from trioworker.supervision.nurseries import cancelled_after
from trioworker.worker.llm.prompts import environment, job_prompt, system_prompt
from trioworker.worker.llm.surroundings import surroundings
from trioworker.worker.state.conversation import message_record
from trioworker.worker.state.records import EventQueued, JobOpened, OutcomeDecided, Record, ReportAccepted

if TYPE_CHECKING:
    from trioworker.worker.cancellation import StopRequest
    from trioworker.worker.client.orchestrator_client import OrchestratorClient
    from trioworker.worker.clocks import Moment
    from trioworker.worker.services import Services
    from trioworker.worker.state.job import Job


class FetchedJob(msgspec.Struct, frozen=True, kw_only=True):
    """What the orchestrator returned for the job.

    Attributes:
        description: the job, or `UNKNOWN_JOB`.
        credentials: those granted to the job.
        failure: why the job can't run, though it is known; empty if it can.
        has_ended: its end was reported by an earlier worker.
    """

    description: wire.JobDescription
    credentials: tuple[wire.Credential, ...] = ()
    failure: str = ""
    has_ended: bool = False


UNKNOWN_JOB = wire.JobDescription(title="", description="")


async def bootstrap(client: OrchestratorClient, job: Job, stop: StopRequest) -> FetchedJob:
    """Fetch the job, then the credentials granted to it; a request to stop or suspend it cancels that.

    `GET job` completes before any other request: with it, this start asks for the job (contract, 'Starts'). A job
    whose journal says that its report was accepted needs no request. A job whose report was sent, and whose token the
    orchestrator no longer knows, has ended too: the report had arrived.

    Raises:
        RefusedError: the orchestrator doesn't know the job, or refuses the token.
        SupersededError: another worker was started for the job meanwhile.
        UnreachableError: it can't be reached.
        ReleasedError: the job was suspended.
    """
    fetched = FetchedJob(description=UNKNOWN_JOB, has_ended=job.report_accepted)

    if not fetched.has_ended:
        async with cancelled_after(stop.wait):
            fetched = await _fetch(client, job)
    stop.raise_if_suspended()
    return fetched


async def _fetch(client: OrchestratorClient, job: Job) -> FetchedJob:
    try:
        description = await client.job()
    except BadReplyError as error:
        return FetchedJob(description=UNKNOWN_JOB, failure=str(error))
    except RefusedError as error:
        if job.report_started and error.status in {401, 404}:
            return FetchedJob(description=UNKNOWN_JOB, has_ended=True)
        raise
    try:
        return FetchedJob(description=description, credentials=await client.credentials())
    except SupersededError:
        raise
    except OrchestratorError as error:
        return FetchedJob(description=description, failure=str(error))


def open_or_resume(
    job: Job, fetched: FetchedJob, services: Services, *, now: Moment, machine: str | None = None
) -> None:
    """Open the conversation, or resume the one from the journal.

    `machine` is the text about the machine and the limits in the system message;
    by default, it describes this machine.
    """
    if fetched.has_ended:
        if not job.report_accepted:
            job.commit(ReportAccepted())
        return
    if job.unresumable:
        reason = f"Execution failed: the worker was restarted, and its journal had been abandoned: {job.unresumable}"
        job.commit(_opened(UNKNOWN_JOB, services, now))
        job.commit(OutcomeDecided(status="failed", message=reason))
    elif not job.opened:
        job.commit(*_opening(fetched.description, services, now, machine), _sandbox_status(services))
    elif not job.outbox_sealed:
        restarted = services.events.status(f"The worker was restarted and continues at iteration {job.iteration}")
        job.commit(restarted, _sandbox_status(services))
    if fetched.failure:
        job.commit(OutcomeDecided(status="failed", message=f"Execution failed: {fetched.failure}"))


def _opening(
    description: wire.JobDescription, services: Services, now: Moment, machine: str | None
) -> tuple[Record, ...]:
    if machine is None:
        machine = environment(surroundings(services.config, services.sandbox, services.environment, now=now.wall))
    return (
        _opened(description, services, now),
        message_record("system", system_prompt(machine)),
        message_record("user", job_prompt(description)),
        services.events.progress("Worker started, beginning execution", 0),
    )


def _opened(description: wire.JobDescription, services: Services, now: Moment) -> JobOpened:
    return JobOpened(
        job_id=services.config.job_id,
        title=description.title,
        description=description.description,
        started_at=now.wall,
        boot_id=now.boot_id,
        monotonic=now.monotonic,
    )


def _sandbox_status(services: Services) -> EventQueued:
    """The event that reports how commands are confined."""
    sandbox = services.sandbox
    services.tracer.instant("sandbox", level=sandbox.level, gap=sandbox.gap)
    if sandbox.gap and services.config.containment != "off":
        logger.warning(sandbox.summary)
    return services.events.status(sandbox.summary)
