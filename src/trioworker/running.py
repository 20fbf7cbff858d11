"""A running job: the nursery, the channels, the deadlines and the farewell.

The architecture can be read here: four actors, each supervised in a scope of its own, live in one nursery; the
reasoner's end, the deadline or a stop ends three of them; the shipper lives on until the end is reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio
from loguru import logger

from trioworker.actors.event_shipper import DrainLimit, EventShipper
from trioworker.actors.messages import Farewell, FollowUpWaiting, PostWaiting, TurnOpened, TurnSettled, wake
from trioworker.actors.prompt_poller import PollShield, PromptPoller
from trioworker.actors.publisher import Publisher
from trioworker.actors.reasoner import Reasoner
from trioworker.actors.supervisor import Actor
from trioworker.actors.tool_executor import ToolExecutor
from trioworker.client import Delivery
from trioworker.errors import ActorFailedError
from trioworker.limits import MAX_WAITING_FOLLOW_UPS
from trioworker.outcome import JobOutcome, Meter, outcome_of
from trioworker.records import Closed, Decided, ReportAccepted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trioworker.job import Job
    from trioworker.services import Services

POLLER, REASONER, EXECUTOR, SHIPPER = "prompt-poller", "reasoner", "tool-executor", "event-shipper"
UNHURRIED_FAREWELL = 60.0
"""Seconds that shipping and reporting may take after a job that ended by itself (design, rule 7)."""
REPORT_SHARE = 0.35
"""The part of a farewell that is kept for the report when events can't be shipped."""


class RunningJob:
    """A job while it runs.

    Attributes:
        actors: the four, by name: `prompt-poller`, `reasoner`, `tool-executor`, `event-shipper`.
        job: the state; read it, don't change it.
        services: what the actors work with.
    """

    def __init__(self, job: Job, services: Services, *, deadline: float) -> None:
        config = services.config
        self.job = job
        self.services = services
        self.actors = {name: Actor(name, services.tracer) for name in (POLLER, REASONER, EXECUTOR, SHIPPER)}
        self._meter = Meter(job, services.client, self.actors.values())
        self._deadline = deadline
        self._stop_reason: str | None = None
        self._ended = trio.Event()
        self._delivery = Delivery(may_have_arrived=job.report_began)
        self._shield = PollShield()
        self._limit = DrainLimit()
        self._work = trio.CancelScope(deadline=deadline)
        # A job that is resumed after its deadline still has its farewell.
        self._life = trio.CancelScope(shield=True, deadline=max(deadline, trio.current_time()) + config.grace)
        # The original ends stay open until the job ends; what waits in a channel outlives the actor it waits for.
        self._posts, self._posts_out = trio.open_memory_channel[PostWaiting | Farewell](config.event_queue)
        self._follow_ups, self._follow_ups_out = trio.open_memory_channel[FollowUpWaiting](MAX_WAITING_FOLLOW_UPS)
        self._turns, self._turns_out = trio.open_memory_channel[TurnOpened](1)
        self._settled, self._settled_out = trio.open_memory_channel[TurnSettled](1)
        self._watch_queues()

    @property
    def ending(self) -> bool:
        """How the job ends is decided, or it was told to stop."""
        return self.job.decided is not None or self._work.cancel_called

    async def wait(self) -> JobOutcome:
        """How the job ended, once its end is reported or can't be."""
        await self._ended.wait()
        return outcome_of(self.job, self._meter.metrics())

    def stop(self, reason: str) -> None:
        """End the job now, and report that it was stopped and why. Nothing happens when it has ended already."""
        self._stop_reason = self._stop_reason or reason
        self._hurry(self.services.config.grace)
        self._work.cancel()

    def signalled(self, reason: str) -> None:
        """Stop the job because a signal says so.

        While the report is under way, the signal is its answer: the orchestrator stops the container before it replies.
        """
        if self._delivery.in_flight:
            self.job.commit(ReportAccepted())
            self._life.cancel()
        else:
            self.stop(reason)

    async def conduct(self) -> None:
        """Run the job to its end and report it. Cancellation from outside has no say here: `stop` has."""
        if not self.job.report_accepted:
            with self._life:
                async with trio.open_nursery() as shipping:
                    shipping.start_soon(self._keep, SHIPPER, self._shipper, self._life.deadline, name=SHIPPER)
                    await self._run_actors()
                    self._begin_farewell()
                if self.actors[SHIPPER].state == "failed":
                    await self._shipper()
            if not self.job.report_accepted:
                logger.error("job {}: its end could not be reported", self.job.job_id)
        self._ended.set()

    async def _run_actors(self) -> None:
        if self.job.decided is not None:
            return
        with self._work:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep, POLLER, self._poller, self._deadline, name=POLLER)
                nursery.start_soon(self._keep, EXECUTOR, self._executor, self._deadline, name=EXECUTOR)
                nursery.start_soon(self._lead, nursery, name=REASONER)

    async def _lead(self, nursery: trio.Nursery) -> None:
        """Keep the reasoner; the others work for it, so they end when it does."""
        try:
            await self._keep(REASONER, self._reasoner, self._deadline)
        finally:
            self._shield.release()
            nursery.cancel_scope.cancel()

    async def _keep(self, name: str, incarnate: Callable[[], Awaitable[None]], deadline: float) -> None:
        try:
            await self.actors[name].supervise(incarnate, deadline)
        except ActorFailedError as error:
            self.job.commit(Decided(status="failed", message=f"Execution failed: {error}"))
            self._work.cancel()

    def _hurry(self, seconds: float) -> None:
        self._life.deadline = min(self._life.deadline, trio.current_time() + seconds)
        left = self._life.deadline - trio.current_time()
        self._limit.move(self._life.deadline - left * REPORT_SHARE)

    def _begin_farewell(self) -> None:
        if self.job.decided is None:
            self.job.commit(self._why_it_ended())
        if not self.job.closed and (decided := self.job.decided):
            metrics = msgspec.structs.asdict(self._meter.metrics())
            result = self.services.events.result(decided.status, decided.message, self.job.iteration, metrics)
            self.job.commit(Closed(), result)
        self.services.tracer.instant("farewell")
        self._hurry(UNHURRIED_FAREWELL)
        wake(self._posts, Farewell())

    def _why_it_ended(self) -> Decided:
        if self._stop_reason is not None:
            return Decided(status="cancelled", message=f"Execution stopped: {self._stop_reason}")
        return Decided(status="stuck", message="Execution timed out")

    def _watch_queues(self) -> None:
        def depths() -> tuple[float, ...]:
            job = self.job
            return len(job.outbox), len(job.follow_ups), len([call for call in job.turn if call.ended is None])

        self.services.tracer.watch(("outbox", "follow-ups waiting", "calls to answer"), depths)

    async def _poller(self) -> None:
        await PromptPoller(self.job, self.services, self._follow_ups.clone(), self._shield).run()

    async def _reasoner(self) -> None:
        publisher = Publisher(self.job, self._posts.clone(), self.services.tracer)
        ends = (self._follow_ups_out.clone(), self._turns.clone(), self._settled_out.clone())
        await Reasoner(self.job, self.services, publisher, *ends).run()

    async def _executor(self) -> None:
        publisher = Publisher(self.job, self._posts.clone(), self.services.tracer)
        ends = (self._turns_out.clone(), self._settled.clone())
        await ToolExecutor(self.job, self.services, publisher, *ends).run()

    async def _shipper(self) -> None:
        await EventShipper(self.job, self.services, self._posts_out.clone(), self._limit, self._delivery).run()
