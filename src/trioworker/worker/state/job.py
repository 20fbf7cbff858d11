"""The job: all that a restart of an actor, or of the process, needs.

Its state changes through `commit` alone, by records, so that what an actor knows and what a journal holds are the same.
An actor is a loop over this state; see `actors/`.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from trioworker.errors import ConfigError
from trioworker.protocol import wire
from trioworker.worker.state import records
from trioworker.worker.state.conversation import Conversation
from trioworker.worker.state.records import LoopState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trioworker.worker.state.journal import Journal


class Call:
    """A call of the open turn and how far it came."""

    def __init__(self, planned: records.PlannedCall) -> None:
        self.planned = planned
        self.announced = False
        self.started = False
        self.ended: records.CallEnded | None = None


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A post in the outbox; `body` is what goes out, an event's `seq` included."""

    number: int
    path: Literal["event", "status"]
    body: dict[str, Any]


class Job:
    """The state of one job. Read its attributes; change them by `commit`.

    Attributes:
        conversation: what the model is sent.
        iteration: the number of the iteration that runs, 0 before the first.
        last_iteration_at: when that began, in trio's time; of no meaning to another process, so no record sets it.
        awaiting_reply: an iteration began whose reply was not acted on yet.
        turn: the calls of the reply that is being worked on, in the order asked for; empty between turns.
        outbox: posts that the orchestrator has not accepted yet, oldest first.
        follow_ups: prompts that wait for the next iteration.
        unresumable: why a restart can't take this job up, if that is so.
        last_output: the output of the last tool call that succeeded, redacted.
        decided: how the job ended, once it did.
        outbox_sealed: the last post is in the outbox.
        watchers: each is called with the records of each commit, once applied; it must be quick and never fail.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal
        self.watchers: list[Callable[[Iterable[records.Record]], None]] = []
        self.unresumable = ""
        self.job_id = ""
        self.title = ""
        self.started_at = 0.0
        self.conversation = Conversation()
        self.iteration = 0
        self.last_iteration_at = -math.inf
        self.awaiting_reply = False
        self.turn: tuple[Call, ...] = ()
        self.call_ids: set[str] = set()
        self.loop_state = LoopState()
        self.follow_ups: deque[str] = deque()
        self.polling_ended = False
        self.outbox: deque[Post] = deque()
        self.events = 0
        self.posts = 0
        self.lost_posts = 0
        self.last_output: str | None = None
        self.decided: records.OutcomeDecided | None = None
        self.outbox_sealed = False
        self.report_started = False
        self.report_accepted = False
        self.llm_requests = 0
        self.llm_seconds = 0.0
        self.tool_seconds = 0.0
        self.shipped_events = 0
        self.input_tokens = 0
        self.output_tokens = 0

    def commit(self, *changes: records.Record) -> None:
        """Let these things have happened, all of them at once."""
        for change in changes:
            self._apply(change)
        if self._journal is not None:
            self._journal.append(changes)
        for watcher in self.watchers:
            watcher(changes)

    async def sync(self) -> None:
        """Wait until what was committed would outlive the machine; without a journal there is nothing to wait for."""
        if self._journal is not None:
            await self._journal.sync()

    def replay(self, past: Iterable[Iterable[records.Record]]) -> None:
        """Take up the state that an earlier process recorded.

        Raises:
            ConfigError: the records tell what can't have happened.
        """
        try:
            for group in past:
                for change in group:
                    self._apply(change)
        except (LookupError, StopIteration) as error:
            raise ConfigError("the journal tells what can't have happened; move it away") from error

    @property
    def opened(self) -> bool:
        """The job was fetched, by this process or an earlier one."""
        return bool(self.job_id)

    @property
    def turn_settled(self) -> bool:
        """Every call of the open turn has its answer."""
        return all(call.ended for call in self.turn)

    def queue_lengths(self) -> tuple[float, float, float]:
        """The lengths of the job's queues, for a trace: posts, follow-ups, and calls without an answer."""
        return len(self.outbox), len(self.follow_ups), len([call for call in self.turn if call.ended is None])

    def _apply(self, change: records.Record) -> None:
        match change:
            case records.JobOpened():
                self.job_id, self.title, self.started_at = change.job_id, change.title, change.started_at
            case records.MessageAppended(role=role, message=message):
                self.conversation.append(role, message)
            case records.HistoryCompacted():
                self.conversation.compact(change)
            case records.IterationStarted(number=number):
                self.iteration, self.awaiting_reply = number, True
            case records.ReplyAccepted():
                self._take_reply(change)
            case records.CallAnnounced(call_id=call_id):
                self._call(call_id).announced = True
            case records.CallStarted(call_id=call_id):
                self._call(call_id).started = True
            case records.CallEnded(call_id=call_id):
                self._call(call_id).ended = change
                self.tool_seconds += change.seconds
                if change.outcome == "success":
                    self.last_output = change.output
            case records.TurnClosed(loop_state=loop_state):
                self._close_turn(loop_state)
            case records.FollowUpReceived(content=content):
                self.follow_ups.append(content)
            case records.FollowUpsJoined(count=count):
                for _ in range(count):
                    self.follow_ups.popleft()
            case records.PollingEnded():
                self.polling_ended = True
            case records.EventQueued(path=path, body=body):
                self._post(path, body)
            case records.EventDelivered(lost=lost):
                post = self.outbox.popleft()
                self.lost_posts += lost
                self.shipped_events += post.path == "event" and not lost
            case records.OutcomeDecided():
                self.decided = self.decided or change
            case records.OutboxSealed():
                self.outbox_sealed = True
            case records.ReportStarted():
                self.report_started = True
            case records.ReportAccepted():
                self.report_accepted = True
            case records.JournalAbandoned(reason=reason):
                self.unresumable = reason
            case _:
                raise TypeError(f"no record of a job: {change!r}")

    def _take_reply(self, reply: records.ReplyAccepted) -> None:
        self.awaiting_reply = False
        self.loop_state = reply.loop_state
        self.turn = tuple(Call(planned) for planned in reply.calls)
        self.call_ids.update(planned.call_id for planned in reply.calls)
        self.llm_requests += reply.requests
        self.llm_seconds += reply.seconds
        self.input_tokens += reply.input_tokens
        self.output_tokens += reply.output_tokens

    def _close_turn(self, loop_state: LoopState) -> None:
        for call in self.turn:
            if call.ended is not None:
                answer = wire.Message(
                    role="tool", content=call.ended.content, tool_call_id=call.planned.call_id, name=call.planned.name
                )
                self.conversation.append("tool", msgspec.json.encode(answer))
        self.turn = ()
        self.loop_state = loop_state

    def _post(self, path: Literal["event", "status"], body: dict[str, Any]) -> None:
        if path == "event":
            body = {**body, "data": {**body["data"], "seq": self.events}}
            self.events += 1
        self.posts += 1
        self.outbox.append(Post(number=self.posts, path=path, body=body))

    def _call(self, call_id: str) -> Call:
        return next(call for call in self.turn if call.planned.call_id == call_id)
