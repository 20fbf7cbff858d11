"""The records of a job: everything that can happen to it. Its state changes only by applying records.

The records of one decision are committed together, between two awaits. The state is therefore consistent wherever an
actor can be cancelled or the process can die.

The journal stores records under their class names; renaming one requires a new `journal.FORMAT`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from trioworker.protocol.wire import Role

Status = Literal["completed", "failed", "cancelled", "stuck"]
"""How a job ended (contract, 'Events')."""

Limit = Literal["iterations", "time", "tokens"]
"""A limit of the whole job."""

CallOutcome = Literal["success", "failure", "interrupted"]
"""How a call ended. A command that ran and exited with an error is a success: the tool worked."""


class Record(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The base of all records."""


class JobOpened(Record, frozen=True):
    """The job was fetched for the first time, at this moment (`clocks.Moment`)."""

    job_id: str
    title: str
    description: str
    started_at: float
    boot_id: str = ""
    monotonic: float = 0.0


class MessageAppended(Record, frozen=True):
    """A message was added to the conversation. `message` is its JSON, encoded once for all later requests."""

    role: Role
    message: bytes


class HistoryCompacted(Record, frozen=True):
    """The conversation was compacted to `limit` bytes. What that does depends on nothing but its messages."""

    limit: int


class ContextLimitLowered(Record, frozen=True):
    """The model server refused a request as too long. The limit is `limit` tokens for the rest of the job."""

    limit: int


class LimitsNoted(Record, frozen=True):
    """The model was told how much of these limits is left."""

    limits: tuple[Limit, ...]


class WrapUpStarted(Record, frozen=True):
    """A limit is reached: the model is asked for its report, and the job ends with `status` and `reason`."""

    status: Status
    reason: str


class IterationStarted(Record, frozen=True):
    """The iteration started: the model is asked next, and its reply is pending until `ReplyAccepted`."""

    number: int


class ReplyAccepted(Record, frozen=True):
    """The reply of the current iteration was interpreted, and its calls are the new turn.

    It took `requests` requests to the model and `seconds` seconds in total, including retries. `request_bytes` is the
    size of the request that had `input_tokens`, 0 if there were several. `input_tokens` may include `cached_tokens`.
    """

    loop_state: LoopState
    calls: tuple[PlannedCall, ...] = ()
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    requests: int = 1
    request_bytes: int = 0
    seconds: float = 0.0


class CallAnnounced(Record, frozen=True):
    """The `tool_use` event of a call was queued."""

    call_id: str


class CallStarted(Record, frozen=True):
    """A call was started. A call is never started twice."""

    call_id: str


class CallEnded(Record, frozen=True):
    """A call was answered, with `content` for the model and `output` for events.

    `kept` is the path of the file with the full output, empty if there is none. `seconds` is how long the job waited
    for the call. Of calls that ran concurrently, the first has the time of all of them.
    """

    call_id: str
    content: str
    output: str
    outcome: CallOutcome
    kept: str = ""
    seconds: float = 0.0


class TurnClosed(Record, frozen=True):
    """Every call of the turn was answered. The answers were added to the conversation in the order of the calls."""

    loop_state: LoopState


class FollowUpReceived(Record, frozen=True):
    """A follow-up prompt arrived; it waits for the next iteration."""

    content: str


class FollowUpsJoined(Record, frozen=True):
    """The first `count` waiting follow-ups were added to the conversation."""

    count: int


class PollingEnded(Record, frozen=True):
    """Polling for follow-ups ended: none will come."""


class EventQueued(Record, frozen=True):
    """A post was added to the outbox. The job numbers the events (`seq`)."""

    path: Literal["event", "status"]
    body: dict[str, Any]


class EventDelivered(Record, frozen=True):
    """The oldest post in the outbox was accepted, or given up if `lost` is true."""

    lost: bool = False


class OutcomeDecided(Record, frozen=True):
    """The outcome of the job was decided. Only the first decision counts."""

    status: Status
    message: str


class OutboxSealed(Record, frozen=True):
    """The `result` event was queued, the last post of the job."""


class ReportStarted(Record, frozen=True):
    """`POST complete` is sent next."""


class ReportAccepted(Record, frozen=True):
    """The orchestrator accepted the report of the outcome."""


class JournalAbandoned(Record, frozen=True):
    """Recording stopped, for `reason`: the journal can't be used to resume the job."""

    reason: str


class LoopState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of loop detection, carried from turn to turn: see `llm/loop_detection.py`."""

    empty_replies: int = 0
    failing_call: str = ""
    failing_count: int = 0
    text_only: bool = False
    last_text: str = ""
    """The text of the previous turn, if it may be the final answer."""


class PlannedCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call of the current turn; `arguments` is JSON. A call with a `refusal` is answered with it and not run."""

    call_id: str
    name: str
    arguments: bytes
    refusal: str = ""
