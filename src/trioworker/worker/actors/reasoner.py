"""The reasoner: asks the model, interprets its reply, opens a turn for its calls and waits for their answers.

It is a loop over the job's state, so a new incarnation continues exactly where the last one stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from loguru import logger

from trioworker.errors import ContextLengthError, OrchestratorError, WorkerError
from trioworker.protocol.limits import MAX_PROMPT_BYTES
from trioworker.protocol.text import truncate
from trioworker.worker.actors.context_fitting import ContextFitting
from trioworker.worker.actors.job_limits import JobLimits
from trioworker.worker.actors.messages import TurnOpened, wake
from trioworker.worker.actors.model import Answer, Model
from trioworker.worker.llm import loop_detection
from trioworker.worker.llm.call_markup import clean
from trioworker.worker.llm.interpretation import Context, Interpretation, interpret
from trioworker.worker.llm.limit_report import limit_report
from trioworker.worker.llm.prompts import wrap_up
from trioworker.worker.state.conversation import encode_message, message_record
from trioworker.worker.state.records import (
    FollowUpsJoined,
    IterationStarted,
    MessageAppended,
    OutcomeDecided,
    Record,
    ReplyAccepted,
    TurnClosed,
    WrapUpStarted,
)

if TYPE_CHECKING:
    from trioworker.worker.actors.messages import FollowUpWaiting, TurnSettled
    from trioworker.worker.actors.publisher import Publisher
    from trioworker.worker.services import Services
    from trioworker.worker.state.job import Job
    from trioworker.worker.state.records import LoopState, PlannedCall

MIN_ITERATION_INTERVAL = 0.1
"""Minimum seconds from the start of one iteration to that of the next (contract, 'A job, in order')."""
STATUS_EVERY = 5
"""A status is sent on iteration 1, 6, 11, … (contract, 'A job, in order')."""


class Reasoner:
    """Reasons until the outcome is decided."""

    def __init__(
        self,
        job: Job,
        services: Services,
        publisher: Publisher,
        follow_ups: trio.MemoryReceiveChannel[FollowUpWaiting],
        turns: trio.MemorySendChannel[TurnOpened],
        settled: trio.MemoryReceiveChannel[TurnSettled],
        *,
        deadline: float,
    ) -> None:
        """`deadline` is the job's, in seconds of trio's clock."""
        self._job = job
        self._registry = services.registry
        self._events = services.events
        self._model = Model(job, services, self._report_retry)
        self._context = ContextFitting(job, services)
        self._limits = JobLimits(job, services.config, deadline)
        self._publisher = publisher
        self._follow_ups = follow_ups
        self._turns = turns
        self._settled = settled
        self._tracer = services.tracer

    async def run(self) -> None:
        """Take one step after another until the outcome is decided."""
        with self._publisher, self._follow_ups, self._turns, self._settled:
            try:
                while self._job.decided is None:
                    await self._step()
            except WorkerError as error:
                self._job.commit(OutcomeDecided(status="failed", message=f"Execution failed: {error}"))

    async def _step(self) -> None:
        if self._job.turn:
            await self._finish_turn()
        elif self._job.wrap_up is not None:
            await self._wrap_up(self._job.wrap_up)
        elif (reached := self._limits.reached()) is not None:
            await self._start_wrap_up(reached)
        elif not self._job.awaiting_reply:
            await self._start_iteration()
        else:
            await self._ask_and_act()

    async def _finish_turn(self) -> None:
        if not self._job.turn_settled:
            wake(self._turns, TurnOpened(iteration=self._job.iteration))
        with self._tracer.span("wait", "answers to the calls", iteration=self._job.iteration):
            while not self._job.turn_settled:
                await self._settled.receive()
        nudge = loop_detection.after_turn(self._job.loop_state, self._job.turn)
        await self._publisher.commit(TurnClosed(loop_state=nudge.loop_state), *self._nudge(nudge.note, nudge.status))

    async def _start_iteration(self) -> None:
        number = self._job.iteration + 1
        with self._tracer.span("wait", "pace", iteration=number):
            await trio.sleep_until(self._job.last_iteration_at + MIN_ITERATION_INTERVAL)
        self._job.last_iteration_at = trio.current_time()
        changes: list[Record] = [IterationStarted(number=number)]
        if number % STATUS_EVERY == 1:
            changes.append(self._events.progress(f"Iteration {number}", number))
        if number == 1:
            changes += self._context.check_opening()
        joined = self._joined_follow_ups()
        if not joined and self._job.conversation.last_role == "assistant":
            joined = [message_record("user", loop_detection.GO_ON)]
        await self._publisher.commit(*changes, *joined, *self._limits.note(number))

    async def _start_wrap_up(self, reached: WrapUpStarted) -> None:
        status = self._events.status(f"{reached.reason}; asking the model for its report")
        request = message_record("user", wrap_up(reached.reason))
        await self._publisher.commit(reached, *self._joined_follow_ups(), request, status)

    async def _wrap_up(self, reached: WrapUpStarted) -> None:
        """Ask for the report, which isn't an iteration. If the request fails, report the model's last text."""
        text = ""
        changes: list[Record] = []
        try:
            answer, sent = await self._ask(with_tools=False)
        except OrchestratorError as error:
            logger.warning("the model gave no report: {}", error)
        else:
            if answer is None:
                return
            text = clean(answer.reply.content or "")
            changes.append(self._accepted(answer, sent, self._job.loop_state))
            if text:
                changes.append(self._events.message("assistant", text))
        report = limit_report(reached.reason, text or self._job.conversation.last_text())
        await self._publisher.commit(*changes, OutcomeDecided(status=reached.status, message=report))

    def _joined_follow_ups(self) -> list[Record]:
        self._discard_messages()
        changes: list[Record] = []
        for content in self._job.follow_ups:
            text = truncate(content, MAX_PROMPT_BYTES)
            changes += [message_record("user", text), self._events.message("user", text)]
        if changes:
            changes.append(FollowUpsJoined(count=len(self._job.follow_ups)))
        return changes

    def _discard_messages(self) -> None:
        """Make room for the poller's messages; the follow-ups themselves are in the job."""
        try:
            while True:
                self._follow_ups.receive_nowait()
        except trio.WouldBlock:
            pass

    async def _ask_and_act(self) -> None:
        answer, sent = await self._ask(with_tools=not self._job.loop_state.text_only)
        if answer is None:
            return
        interpretation = interpret(
            answer.reply,
            Context(
                tools=self._registry.names,
                taken=self._job.call_ids,
                loop_state=self._job.loop_state,
                last_output=self._job.last_output,
            ),
        )
        accepted = self._accepted(answer, sent, interpretation.loop_state, interpretation.calls)
        await self._publisher.commit(accepted, *self._consequences(interpretation))
        if not self._job.turn:
            # A reply with calls is synced before the first of them starts.
            await self._job.sync()

    async def _report_retry(self, reason: str) -> None:
        remaining = trio.current_effective_deadline() - trio.current_time()
        self._job.model_failure = f"the model does not answer: {reason}"
        text = f"{self._job.model_failure}; retrying until the job's time is up, in {remaining:.0f} s"
        await self._publisher.commit(self._events.status(text))

    async def _ask(self, *, with_tools: bool) -> tuple[Answer | None, int]:
        """Ask the model. Returns the answer, and the size of the request in bytes.

        None means that the request was too long for the model, and the conversation was compacted: ask again.
        """
        if statuses := self._context.compact():
            await self._publisher.commit(*statuses)
        conversation, size = self._job.conversation, self._context.request_size(with_tools=with_tools)
        try:
            answer = await self._model.ask(
                conversation.snapshot(), with_tools=with_tools, has_calls=conversation.has_calls
            )
        except ContextLengthError as error:
            await self._publisher.commit(*self._context.shrink(size, error))
            return None, size
        self._job.model_failure = ""
        return answer, size

    @staticmethod
    def _accepted(
        answer: Answer, sent: int, loop_state: LoopState, calls: tuple[PlannedCall, ...] = ()
    ) -> ReplyAccepted:
        reply = answer.reply
        return ReplyAccepted(
            loop_state=loop_state,
            calls=calls,
            input_tokens=reply.input_tokens or 0,
            cached_tokens=(reply.cache_read_input_tokens or 0) + (reply.cache_creation_input_tokens or 0),
            output_tokens=reply.output_tokens or 0,
            requests=answer.requests,
            request_bytes=sent if answer.requests == 1 else 0,
            seconds=answer.seconds,
        )

    def _consequences(self, interpretation: Interpretation) -> list[Record]:
        changes: list[Record] = []
        if interpretation.said is not None:
            changes.append(MessageAppended(role="assistant", message=encode_message(interpretation.said)))
        if interpretation.text:
            changes.append(self._events.message("assistant", interpretation.text))
        if not self._job.follow_ups:
            if interpretation.finished is not None:
                changes.append(OutcomeDecided(status="completed", message=interpretation.finished))
            elif interpretation.failed is not None:
                changes.append(OutcomeDecided(status="failed", message=interpretation.failed))
        return changes + self._nudge(interpretation.note, interpretation.status)

    def _nudge(self, note: str, status: str) -> list[Record]:
        changes: list[Record] = []
        if note:
            changes.append(message_record("user", note))
        if status:
            changes.append(self._events.status(status))
        return changes
