"""The reasoner: asks the model, interprets its reply, opens a turn for its calls and waits for their answers.

It is a loop over the job's state, so a new incarnation continues exactly where the last one stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trioworker.errors import WorkerError
from trioworker.protocol.limits import BYTES_PER_TOKEN, MAX_PROMPT_BYTES, MAX_REQUEST_BYTES, REQUEST_RESERVE_BYTES
from trioworker.protocol.text import truncate
from trioworker.worker.actors.messages import TurnOpened, wake
from trioworker.worker.actors.model import Answer, Model
from trioworker.worker.llm import loop_detection
from trioworker.worker.llm.interpretation import Context, Interpretation, interpret
from trioworker.worker.state.conversation import encode_message, message_record
from trioworker.worker.state.records import (
    FollowUpsJoined,
    IterationStarted,
    MessageAppended,
    OutcomeDecided,
    Record,
    ReplyAccepted,
    TurnClosed,
)

if TYPE_CHECKING:
    from trioworker.worker.actors.messages import FollowUpWaiting, TurnSettled
    from trioworker.worker.actors.publisher import Publisher
    from trioworker.worker.services import Services
    from trioworker.worker.state.job import Job

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
    ) -> None:
        self._job = job
        self._registry = services.registry
        self._events = services.events
        self._model = Model(services.client, services.registry, services.config)
        self._max_iterations = services.config.max_iterations
        self._context_limit = services.config.context_limit
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
        if number > self._max_iterations:
            message = f"Execution failed: max iterations ({self._max_iterations}) exceeded"
            self._job.commit(OutcomeDecided(status="failed", message=message))
            return
        with self._tracer.span("wait", "pace", iteration=number):
            await trio.sleep_until(self._job.last_iteration_at + MIN_ITERATION_INTERVAL)
        self._job.last_iteration_at = trio.current_time()
        changes: list[Record] = [IterationStarted(number=number)]
        if number % STATUS_EVERY == 1:
            changes.append(self._events.progress(f"Iteration {number}", number))
        await self._publisher.commit(*changes, *self._joined_follow_ups())

    def _joined_follow_ups(self) -> list[Record]:
        self._discard_messages()
        changes: list[Record] = []
        for content in self._job.follow_ups:
            text = truncate(content, MAX_PROMPT_BYTES)
            changes += [message_record("user", text), self._events.message("user", text)]
        if changes:
            changes.append(FollowUpsJoined(count=len(self._job.follow_ups)))
        elif self._job.conversation.last_role == "assistant":
            changes.append(message_record("user", loop_detection.GO_ON))
        return changes

    def _discard_messages(self) -> None:
        """Make room for the poller's messages; the follow-ups themselves are in the job."""
        try:
            while True:
                self._follow_ups.receive_nowait()
        except trio.WouldBlock:
            pass

    async def _ask_and_act(self) -> None:
        await self._compact()
        answer = await self._model.ask(
            self._job.conversation.snapshot(),
            with_tools=not self._job.loop_state.text_only,
            has_calls=self._job.conversation.has_calls,
        )
        interpretation = interpret(
            answer.reply,
            Context(
                tools=self._registry.names,
                taken=self._job.call_ids,
                loop_state=self._job.loop_state,
                last_output=self._job.last_output,
            ),
        )
        await self._publisher.commit(*self._records(answer, interpretation))
        if not self._job.turn:
            # A reply with calls is synced before the first of them starts.
            await self._job.sync()

    async def _compact(self) -> None:
        """Keep the next request within the limits of the model and of the orchestrator."""
        limit = MAX_REQUEST_BYTES - REQUEST_RESERVE_BYTES
        conversation = self._job.conversation
        compaction = conversation.next_compaction(min(limit, self._context_limit * BYTES_PER_TOKEN))
        if compaction is not None:
            status = self._events.status("Old tool results were compacted to keep the conversation short")
            await self._publisher.commit(compaction, status)
        for compaction in conversation.emergency_compactions():
            if conversation.size <= limit:
                break
            self._job.commit(compaction)

    def _records(self, answer: Answer, interpretation: Interpretation) -> list[Record]:
        changes: list[Record] = [
            ReplyAccepted(
                loop_state=interpretation.loop_state,
                calls=interpretation.calls,
                input_tokens=answer.reply.input_tokens or 0,
                output_tokens=answer.reply.output_tokens or 0,
                requests=answer.requests,
                seconds=answer.seconds,
            )
        ]
        if interpretation.said is not None:
            changes.append(MessageAppended(role="assistant", message=encode_message(interpretation.said)))
        if interpretation.text:
            changes.append(self._events.message("assistant", interpretation.text))
        if interpretation.finished is not None and not self._job.follow_ups:
            changes.append(OutcomeDecided(status="completed", message=interpretation.finished))
        return changes + self._nudge(interpretation.note, interpretation.status)

    def _nudge(self, note: str, status: str) -> list[Record]:
        changes: list[Record] = []
        if note:
            changes.append(message_record("user", note))
        if status:
            changes.append(self._events.status(status))
        return changes
