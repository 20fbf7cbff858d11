"""The job: the state that an actor or a new process needs to continue.

The state changes only by committing records, so what the actors see is always what the journal holds. Each actor is a
loop over this state; see `actors/`.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from trioworker.errors import ConfigError
from trioworker.protocol import wire
from trioworker.worker.clocks import Moment
from trioworker.worker.state import records
from trioworker.worker.state.context_limit import ContextLimit
from trioworker.worker.state.conversation import Conversation
from trioworker.worker.state.records import LoopState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trioworker.worker.state.journal import Journal


class TurnCall:
    """A call of the current turn, and how far it got: announced, started, ended."""

    def __init__(self, planned: records.PlannedCall) -> None:
        self.planned = planned
        self.announced = False
        self.started = False
        self.ended: records.CallEnded | None = None


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A request in the outbox. `body` is sent as it is; that of an event contains its `seq`."""

    number: int
    path: Literal["event", "status"]
    body: dict[str, Any]


class Job:
    """The state of one job. Read its attributes; change them with `commit`.

    Attributes:
        opened_at: when the job was fetched for the first time.
        conversation: the messages to the model.
        context_limit: the maximum size of the conversation.
        noted: the limits of the job for which the model got a note.
        wrap_up: the status and reason with which the job ends after the model's report; None until a limit is reached.
        iteration: the number of the current iteration, 0 before the first.
        last_iteration_at: the start of that iteration in trio's time. Set by the reasoner, not by a record, since
            it has no meaning in another process.
        model_failure: why the request under way was repeated, empty if it wasn't. Set by the reasoner, not by a record.
        awaiting_reply: the current iteration has no accepted reply yet.
        turn: the calls of the last reply, in the order requested; empty between turns.
        call_ids: the ids of all calls so far.
        loop_state: the state of loop detection.
        follow_ups: prompts that wait for the next iteration.
        polling_ended: no more follow-ups will come.
        outbox: posts that the orchestrator hasn't accepted yet, oldest first.
        events: the number of events so far, which is the next event's `seq`.
        posts: the number of posts so far.
        lost_events: the number of events that were given up.
        last_output: the redacted output of the last successful tool call.
        decided: the outcome, once it is decided.
        outbox_sealed: the last post is in the outbox.
        report_started: `POST complete` may have been sent.
        report_accepted: the orchestrator accepted the report.
        unresumable: why a restart can't resume this job; empty if it can.
        watchers: functions that are called with the records of each commit, after they were applied. They must be fast
            and must not raise.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal
        self.watchers: list[Callable[[Iterable[records.Record]], None]] = []
        self.unresumable = ""
        self.job_id = ""
        self.title = ""
        self.opened_at = Moment(0.0)
        self.conversation = Conversation()
        self.context_limit = ContextLimit()
        self.noted: set[records.Limit] = set()
        self.wrap_up: records.WrapUpStarted | None = None
        self.iteration = 0
        self.last_iteration_at = -math.inf
        self.model_failure = ""
        self.awaiting_reply = False
        self.turn: tuple[TurnCall, ...] = ()
        self.call_ids: set[str] = set()
        self.loop_state = LoopState()
        self.follow_ups: deque[str] = deque()
        self.polling_ended = False
        self.outbox: deque[Post] = deque()
        self.events = 0
        self.posts = 0
        self.lost_events = 0
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
        """Apply the records and write them to the journal, as one unit."""
        for change in changes:
            self._apply(change)
        if self._journal is not None:
            self._journal.append(changes)
        for watcher in self.watchers:
            watcher(changes)

    async def sync(self) -> None:
        """Wait until every commit survives a crash of the machine. Returns at once when there is no journal."""
        if self._journal is not None:
            await self._journal.sync()

    def replay(self, past: Iterable[Iterable[records.Record]]) -> None:
        """Restore the state from the commits of an earlier process.

        Raises:
            ConfigError: the records contradict each other.
        """
        try:
            for changes in past:
                for change in changes:
                    self._apply(change)
        except (LookupError, StopIteration) as error:
            raise ConfigError("the journal contradicts itself; move it away") from error

    @property
    def opened(self) -> bool:
        """Whether the job was fetched, by this process or an earlier one."""
        return bool(self.job_id)

    @property
    def started_at(self) -> float:
        """When the job was opened, in seconds since the epoch."""
        return self.opened_at.wall

    @property
    def waiting_events(self) -> int:
        """The number of events in the outbox."""
        return sum(post.path == "event" for post in self.outbox)

    @property
    def turn_settled(self) -> bool:
        """Whether every call of the current turn was answered."""
        return all(call.ended for call in self.turn)

    def queue_lengths(self) -> tuple[float, float, float]:
        """For traces: the number of posts in the outbox, waiting follow-ups, and unanswered calls."""
        return len(self.outbox), len(self.follow_ups), len([call for call in self.turn if call.ended is None])

    def _apply(self, change: records.Record) -> None:
        match change:
            case records.JobOpened():
                self.job_id, self.title = change.job_id, change.title
                self.opened_at = Moment(change.started_at, change.boot_id, change.monotonic)
            case records.MessageAppended(role=role, message=message):
                self.conversation.append(role, message)
            case records.HistoryCompacted(limit=limit):
                self.conversation.compact(limit)
            case records.ContextLimitLowered(limit=limit):
                self.context_limit.lowered = limit
            case records.LimitsNoted(limits=limits):
                self.noted.update(limits)
            case records.WrapUpStarted():
                self.wrap_up = change
            case records.IterationStarted(number=number):
                self.iteration, self.awaiting_reply = number, True
            case records.ReplyAccepted():
                self._accept_reply(change)
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
                # A tool that couldn't be cancelled may return after the last post.
                if not self.outbox_sealed:
                    self._queue(path, body)
            case records.EventDelivered(lost=lost):
                post = self.outbox.popleft()
                self.lost_events += post.path == "event" and lost
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
                raise TypeError(f"not a record of a job: {change!r}")

    def _accept_reply(self, reply: records.ReplyAccepted) -> None:
        self.awaiting_reply = False
        self.loop_state = reply.loop_state
        self.turn = tuple(TurnCall(planned) for planned in reply.calls)
        self.call_ids.update(planned.call_id for planned in reply.calls)
        self.llm_requests += reply.requests
        self.llm_seconds += reply.seconds
        self.context_limit.observe(reply.request_bytes, reply.input_tokens, reply.cached_tokens)
        self.input_tokens += reply.input_tokens
        self.output_tokens += reply.output_tokens

    def _close_turn(self, loop_state: LoopState) -> None:
        for call in self.turn:
            if call.ended is not None:
                answer = wire.Message(
                    role="tool", content=call.ended.content, tool_call_id=call.planned.call_id, name=call.planned.name
                )
                self.conversation.append("tool", msgspec.json.encode(answer))
                if call.ended.kept:
                    self.conversation.kept_outputs[call.planned.call_id] = call.ended.kept
        self.turn = ()
        self.loop_state = loop_state

    def _queue(self, path: Literal["event", "status"], body: dict[str, Any]) -> None:
        if path == "event":
            body = {**body, "data": {**body["data"], "seq": self.events}}
            self.events += 1
        self.posts += 1
        self.outbox.append(Post(number=self.posts, path=path, body=body))

    def _call(self, call_id: str) -> TurnCall:
        return next(call for call in self.turn if call.planned.call_id == call_id)
