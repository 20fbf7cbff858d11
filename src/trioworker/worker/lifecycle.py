"""A job from start to report, on one screen: channels, nursery, actors, and the order of the shutdown.

    shutdown scope           shielded; a stop and the shutdown, which begins at the job's deadline, limit its time
    └─ nursery
       ├─ event-shipper      until the shutdown ends; returns when the end of the job is reported
       ├─ prompt-poller      until the job's deadline
       ├─ tool-executor      until the job's deadline
       └─ reasoner           until the job's deadline; returns when the outcome is decided

Each actor has a cancel scope of its own (`supervision/actor.py`); `cancellation.py` has those whose deadlines change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trioworker.errors import ActorFailedError, ReleasedError
from trioworker.observability.span_observers import SpanStream
from trioworker.protocol.limits import MAX_WAITING_FOLLOW_UPS
from trioworker.supervision.actor import Actor
from trioworker.worker.actors.event_shipper import EventShipper
from trioworker.worker.actors.messages import FollowUpWaiting, JobEnded, PostWaiting, TurnOpened, TurnSettled, wake
from trioworker.worker.actors.prompt_poller import PromptPoller
from trioworker.worker.actors.publisher import Publisher
from trioworker.worker.actors.reasoner import Reasoner
from trioworker.worker.actors.tool_executor import ToolExecutor
from trioworker.worker.cancellation import JobScopes, ReportDelivery, suspension
from trioworker.worker.outcome import JobOutcome, Meter, outcome_of, seal_outbox, seal_unreported
from trioworker.worker.state.records import OutcomeDecided, ReportAccepted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trioworker.worker.services import Services
    from trioworker.worker.state.job import Job

POLLER, REASONER, EXECUTOR, SHIPPER = "prompt-poller", "reasoner", "tool-executor", "event-shipper"
ACTORS = (POLLER, REASONER, EXECUTOR, SHIPPER)


class RunningJob:
    """A job while it runs.

    Attributes:
        actors: the four, by name: `prompt-poller`, `reasoner`, `tool-executor`, `event-shipper`.
        job: the state; read it, don't change it.
        services: what the actors work with; read it, don't change it.
        stop_reason: why the job was stopped, if it was.
        suspended_by: why the job was suspended, if it was.
    """

    def __init__(self, job: Job, services: Services, *, deadline: float, extra_time: float = 0.0) -> None:
        """`deadline` is the job's, in seconds of trio's clock; it is enforced `extra_time` seconds later."""
        self.job, self.services = job, services
        self.actors = {name: Actor(name, services.tracer) for name in ACTORS}
        self.stop_reason: str | None = None
        self.suspended_by: str | None = None
        self._deadline, self._ended = deadline, trio.Event()
        self._scopes = JobScopes(deadline=deadline + extra_time, grace=services.config.grace)
        services.client.when_superseded(self._scopes.end_unreported)
        self._delivery = ReportDelivery(may_have_arrived=job.report_started)
        self._meter = Meter(job, services.client, self.actors.values())
        # These ends stay open until the job ends. Each incarnation closes clones, so a restart loses no message.
        self._posts, self._posts_out = trio.open_memory_channel[PostWaiting | JobEnded](services.config.event_queue)
        self._follow_ups, self._follow_ups_out = trio.open_memory_channel[FollowUpWaiting](MAX_WAITING_FOLLOW_UPS)
        self._turns, self._turns_out = trio.open_memory_channel[TurnOpened](1)
        self._settled, self._settled_out = trio.open_memory_channel[TurnSettled](1)

    async def run(self) -> None:
        """Run the job until its end is reported or can't be reported.

        Raises:
            ReleasedError: it was released or suspended.
            SupersededError: another start of the worker has it.
        """
        if self.job.decided is not None:
            self._stop_work()
        if not self.job.report_accepted:
            with self._scopes.shutdown as shutdown:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._supervise, SHIPPER, self._shipper, shutdown.deadline, name=SHIPPER)
                    nursery.start_soon(self._supervise, POLLER, self._poller, self._scopes.deadline, name=POLLER)
                    nursery.start_soon(self._supervise, EXECUTOR, self._executor, self._scopes.deadline, name=EXECUTOR)
                    nursery.start_soon(self._supervise, REASONER, self._reasoner, self._scopes.deadline, name=REASONER)
                    await self._shut_down_in_order()
            # The deadline may have cut the shutdown off before it left a suspended job to the next start.
            if (suspended := self._suspension) is not None:
                self._scopes.leave_unreported(suspended)
            self._scopes.raise_if_unreported()
            seal_unreported(self.job, self.services.events, self._meter.metrics(), self.stop_reason)
        self.services.tracer.end_job()
        self._ended.set()

    async def _shut_down_in_order(self) -> None:
        # 1. The reasoner ends: the outcome is decided, the deadline has passed, the job is stopped, or an actor failed.
        with trio.move_on_at(self._scopes.deadline):
            await self.actors[REASONER].ended.wait()
        # 2. The poller and the executor, which work for it, are stopped, and the processes of tools are terminated.
        self._stop_work()
        with self._scopes.begin_shutdown():
            await self.actors[POLLER].ended.wait()
            await self.actors[EXECUTOR].ended.wait()
        self._scopes.unshield_polls()
        # 3. The `result` event is queued, the last post. A suspended job has none.
        if (suspended := self._suspension) is not None:
            status = f"The worker was {self.suspended_by}; the next one resumes the job"
            self.job.commit(self.services.events.status(status))
            self._scopes.leave_unreported(suspended)
        else:
            seal_outbox(self.job, self.services.events, self._meter.metrics(), self.stop_reason)
        self.services.tracer.instant("shutdown")
        # 4. The shipper drains the outbox and sends `complete`. If it has failed, it is supervised once more.
        wake(self._posts, JobEnded())
        await self.actors[SHIPPER].ended.wait()
        if self.actors[SHIPPER].state == "failed":
            await self._supervise(SHIPPER, self._shipper, self._scopes.shutdown.deadline)

    async def wait(self) -> JobOutcome:
        """How the job ended, once its end is reported or can't be."""
        await self._ended.wait()
        return outcome_of(self.job, self._meter.metrics(ended=True), self.services.safety.redact)

    def spans(self) -> SpanStream:
        """An asynchronous iterator over the spans that finish from now on, as in a trace; it ends with the job."""
        return SpanStream(self.services.tracer)

    def stop(self, reason: str) -> None:
        """End the job now, and report that it was stopped and why. Has no effect on a job that has ended."""
        if not self._ended.is_set():
            self.stop_reason = self.stop_reason or reason
        self._scopes.shorten_deadline(self.services.config.grace)
        self._stop_work()

    def stop_on_signal(self, reason: str) -> None:
        """Stop the job, unless its report has been sent: the signal is then the answer (contract, 'HTTP')."""
        if self._delivery.awaits_answer:
            self.job.commit(ReportAccepted())
            self._scopes.shutdown.cancel()
        else:
            self.stop(reason)

    def suspend(self, reason: str) -> None:
        """Stop the work and deliver what was done, then end this run without a report; `run` raises `ReleasedError`.

        The next start resumes the job. A job whose end is decided, or that was stopped before, is still reported.
        Unlike `stop_on_signal`, this waits for the response to a report that was sent.
        """
        if self.stop_reason is None and self.job.decided is None:
            self.suspended_by = self.suspended_by or reason
        self._scopes.shorten_deadline(self.services.config.grace)
        self._stop_actors()

    @property
    def _suspension(self) -> ReleasedError | None:
        """The error with which a suspended job ends, unless its end was decided meanwhile."""
        if self.suspended_by is None or self.job.decided is not None:
            return None
        return suspension(self.suspended_by)

    def release(self, error: ReleasedError) -> None:
        """End this run without a decision or a report, so that the job can be resumed; `run` raises `error`."""
        self._scopes.end_unreported(error)

    def _stop_work(self) -> None:
        # A suspended job needs the prompt that a poll may return.
        if self.suspended_by is None:
            self._scopes.unshield_polls()
        self._stop_actors()

    def _stop_actors(self) -> None:
        for name in (REASONER, POLLER, EXECUTOR):
            self.actors[name].stop()

    async def _supervise(self, name: str, start: Callable[[], Awaitable[None]], deadline: float) -> None:
        try:
            await self.actors[name].supervise(start, deadline)
        except ActorFailedError as error:
            self.job.commit(OutcomeDecided(status="failed", message=f"Execution failed: {error}"))
            self._stop_work()

    async def _poller(self) -> None:
        await PromptPoller(self.job, self.services, self._follow_ups.clone(), self._scopes).run()

    async def _reasoner(self) -> None:
        publisher = Publisher(self.job, self._posts.clone(), self.services.tracer)
        ends = (self._follow_ups_out.clone(), self._turns.clone(), self._settled_out.clone())
        await Reasoner(self.job, self.services, publisher, *ends, deadline=self._deadline).run()

    async def _executor(self) -> None:
        publisher = Publisher(self.job, self._posts.clone(), self.services.tracer)
        ends = (self._turns_out.clone(), self._settled.clone())
        await ToolExecutor(self.job, self.services, publisher, *ends, deadline=self._scopes.deadline).run()

    async def _shipper(self) -> None:
        await EventShipper(self.job, self.services, self._posts_out.clone(), self._scopes, self._delivery).run()
