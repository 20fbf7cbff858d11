"""What can happen to a job: one frozen record each, the only way in which its state changes.

A decision is committed as one group of records, between two awaits, so that the state is whole whenever an actor can be
cancelled or the process can die.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from trioworker.protocol.wire import Role

Status = Literal["completed", "failed", "cancelled", "stuck"]
"""How a job ended, in the terms that newer orchestrators read (contract, 'Events')."""

CallOutcome = Literal["success", "failure", "interrupted"]
"""How a call ended. A command that ran and failed is a success: the tool worked."""


class Record(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The base of all records."""


class JobOpened(Record, frozen=True):
    """The job was fetched for the first time, at `started_at` (seconds since the epoch)."""

    job_id: str
    title: str
    description: str
    started_at: float


class MessageAppended(Record, frozen=True):
    """A message joined the conversation; `message` is its JSON, encoded once for all requests that will carry it."""

    role: Role
    message: bytes


class HistoryCompacted(Record, frozen=True):
    """Messages before number `before` and over `over` bytes were shortened, to keep the conversation in its limits.

    Only tool results are, unless `everything` says that long texts and arguments are as well.
    """

    before: int
    over: int
    everything: bool = False


class IterationStarted(Record, frozen=True):
    """The model is about to be asked; the reply is awaited until `ReplyTaken`."""

    number: int


class ReplyAccepted(Record, frozen=True):
    """The reply to the open iteration was acted on; `guards` is what the reasoning remembers from here on.

    It took `requests` to the model and `seconds`, retries included.
    """

    loop_state: LoopState
    calls: tuple[PlannedCall, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    requests: int = 1
    seconds: float = 0.0


class CallAnnounced(Record, frozen=True):
    """The `tool_use` event of a call is in the outbox."""

    call_id: str


class CallStarted(Record, frozen=True):
    """The call runs from here on; it never runs a second time."""

    call_id: str


class CallEnded(Record, frozen=True):
    """The call has its answer: `content` for the model, `output` as people see it.

    `seconds` is how long the job waited for it; of calls that ran side by side, the first has the time of all.
    """

    call_id: str
    content: str
    output: str
    outcome: CallOutcome
    seconds: float = 0.0


class TurnClosed(Record, frozen=True):
    """Every call of the turn was answered; the answers joined the conversation in the order asked for."""

    loop_state: LoopState


class FollowUpReceived(Record, frozen=True):
    """A person sent a follow-up prompt; it joins at the next iteration."""

    content: str


class FollowUpsJoined(Record, frozen=True):
    """The first `count` waiting follow-ups are in the conversation."""

    count: int


class PollingEnded(Record, frozen=True):
    """No more follow-ups will come."""


class EventQueued(Record, frozen=True):
    """A post joined the outbox. An event's `seq` is counted by the job."""

    path: Literal["event", "status"]
    body: dict[str, Any]


class EventDelivered(Record, frozen=True):
    """The oldest post of the outbox was accepted, or given up on."""

    lost: bool = False


class OutcomeDecided(Record, frozen=True):
    """How the job ended. The first decision stands."""

    status: Status
    message: str


class OutboxSealed(Record, frozen=True):
    """The `result` event is in the outbox, the last post of the job."""


class ReportStarted(Record, frozen=True):
    """`POST complete` is about to be sent."""


class ReportAccepted(Record, frozen=True):
    """The orchestrator knows how the job ended."""


class JournalAbandoned(Record, frozen=True):
    """Nothing more could be recorded; what is known of the job is not enough to resume it."""

    reason: str


class LoopState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the reasoning remembers of the turns before: see `llm/guards.py`."""

    empty_replies: int = 0
    failing_call: str = ""
    failing_count: int = 0
    text_only: bool = False
    last_text: str = ""
    """The text of the turn before, when that was a text which may stand as the last word."""


class PlannedCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call of the open turn; `arguments` is JSON. One that must not run has its answer already: `refusal`."""

    call_id: str
    name: str
    arguments: bytes
    refusal: str = ""
