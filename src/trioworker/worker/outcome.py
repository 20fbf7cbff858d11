"""How a job ended and what it cost, as `open_job` and `run_job` return it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio
from loguru import logger

from trioworker.protocol.exit_codes import FAILED, STOPPED, SUCCEEDED, UNREPORTED
from trioworker.protocol.limits import MAX_KEPT_OUTPUT_BYTES
from trioworker.protocol.text import truncate
from trioworker.worker.llm.limit_report import TIMED_OUT, limit_report
from trioworker.worker.state.records import OutboxSealed, OutcomeDecided, Status, WrapUpStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from trioworker.supervision.actor import Actor
    from trioworker.worker.client.orchestrator_client import OrchestratorClient
    from trioworker.worker.state.events import Events
    from trioworker.worker.state.job import Job


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """What a job cost.

    `retries`, `restarts`, `events_resent` and `worker_seconds` are counted in this process; the rest also covers
    earlier processes of the job.

    Attributes:
        iterations: how many were started.
        llm_requests: requests to the model that were answered.
        input_tokens: tokens of the requests, as the model server counts them.
        output_tokens: tokens of the replies.
        llm_seconds: time that the job waited for the model.
        tool_seconds: time that the job waited for tools.
        worker_seconds: all other time.
        retries: requests to the orchestrator that were repeated.
        restarts: how often an actor was started again.
        events_sent: events that the orchestrator accepted.
        events_resent: events that were sent more than once.
        events_lost: events that were given up; at the end of the job, also those that were never accepted.
    """

    iterations: int
    llm_requests: int
    input_tokens: int
    output_tokens: int
    llm_seconds: float
    tool_seconds: float
    worker_seconds: float
    retries: int
    restarts: int
    events_sent: int
    events_resent: int
    events_lost: int


class JobOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended.

    Attributes:
        status: `completed`, `failed`, `cancelled` or `stuck`.
        success: whether the status is `completed`.
        message: the model's answer, or the reason of the failure.
        iterations: how many were started.
        reported: whether the orchestrator accepted the report.
        metrics: what the job cost.
    """

    status: Status
    success: bool
    message: str
    iterations: int
    reported: bool
    metrics: Metrics

    @property
    def exit_code(self) -> int:
        """The exit code of a worker that ended so (`protocol/exit_codes.py`)."""
        if not self.reported:
            return UNREPORTED
        if self.status == "cancelled":
            return STOPPED
        return SUCCEEDED if self.success else FAILED


class Meter:
    """Reads the metrics of a running job; created when the job starts."""

    def __init__(self, job: Job, client: OrchestratorClient, actors: Collection[Actor]) -> None:
        self._job = job
        self._client = client
        self._actors = actors
        self._started = trio.current_time()
        self._waited_before = job.llm_seconds + job.tool_seconds

    def metrics(self, *, ended: bool = False) -> Metrics:
        """The current metrics. Once the job has ended, events that still wait are lost."""
        job = self._job
        waited = job.llm_seconds + job.tool_seconds - self._waited_before
        return Metrics(
            iterations=job.iteration,
            llm_requests=job.llm_requests,
            input_tokens=job.input_tokens,
            output_tokens=job.output_tokens,
            llm_seconds=round(job.llm_seconds, 6),
            tool_seconds=round(job.tool_seconds, 6),
            worker_seconds=round(max(0.0, trio.current_time() - self._started - waited), 6),
            retries=self._client.retries,
            restarts=sum(actor.restarts for actor in self._actors),
            events_sent=job.shipped_events,
            events_resent=self._client.resent_events,
            events_lost=job.lost_events + (job.waiting_events if ended else 0),
        )


def seal_outbox(job: Job, events: Events, metrics: Metrics, stop_reason: str | None) -> None:
    """Decide the outcome of a job that was stopped or ran out of time, and queue the `result` event, the last post."""
    if job.decided is None and stop_reason is not None:
        job.commit(OutcomeDecided(status="cancelled", message=f"Execution stopped: {stop_reason}"))
    elif job.decided is None:
        end = job.wrap_up or WrapUpStarted(status="stuck", reason=TIMED_OUT)
        reason = f"{end.reason}\n\n{job.model_failure}" if job.model_failure else end.reason
        report = limit_report(reason, job.conversation.last_text())
        job.commit(OutcomeDecided(status=end.status, message=report))
    if not job.outbox_sealed and (decided := job.decided) is not None:
        costs = msgspec.structs.asdict(metrics)
        job.commit(events.result(decided.status, decided.message, job.iteration, costs), OutboxSealed())


def seal_unreported(job: Job, events: Events, metrics: Metrics, stop_reason: str | None) -> None:
    """Decide the outcome of a job whose end could not be reported, and log it; do nothing if it was reported."""
    if not job.report_accepted:
        seal_outbox(job, events, metrics, stop_reason)
        logger.error("job {}: its end could not be reported", job.job_id)


def outcome_of(job: Job, metrics: Metrics, redact: Callable[[str], str]) -> JobOutcome:
    """The outcome of a job that has been decided. `redact` removes secrets, which the model may repeat."""
    decided = job.decided
    if decided is None:
        raise RuntimeError("the job has not ended yet")
    return JobOutcome(
        status=decided.status,
        success=decided.status == "completed",
        message=truncate(redact(decided.message), MAX_KEPT_OUTPUT_BYTES),
        iterations=job.iteration,
        reported=job.report_accepted,
        metrics=metrics,
    )
