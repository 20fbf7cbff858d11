"""Invariants of what a job sends and receives: events, conversations with the model, follow-ups."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from trioworker.testing.faults import Fault
from trioworker.testing.simulation.planned_faults import Freeze, Kill, Outage, SlowNames, Supersede
from trioworker.testing.simulation.wire_rules import changed_events, conversation_errors
from trioworker.testing.simulation.world import LATENCY, is_refused_by_fault
from trioworker.worker.state.normalization import SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trioworker.testing.simulation.job import SimulatedRun


def delivers_all_events(run: SimulatedRun) -> Iterator[str]:
    """Events arrive in order and without a gap, repeats have the same body, and the last event is the result."""
    sent = [exchange for exchange in run.orchestrator.exchanges if exchange.path == "event"]
    handled = [exchange.body for exchange in sent if exchange.handled]
    first_seen = list(dict.fromkeys(event["data"]["seq"] for event in handled))
    if first_seen != sorted(first_seen):
        yield f"events out of order: {first_seen}"
    refused = {exchange.body["data"]["seq"] for exchange in sent if is_refused_by_fault(exchange)}
    known = set(first_seen) | refused
    if run.orchestrator.reports and known != set(range(max(known, default=-1) + 1)):
        yield f"a gap in the events: {sorted(known)}"
    yield from changed_events(handled)
    dropped = "could not be delivered" in str(run.orchestrator.reports)
    types = [event["event_type"] for event in run.orchestrator.events]
    if (
        run.orchestrator.reports
        and not refused
        and not dropped
        and (types.count("result") != 1 or types[-1] != "result")
    ):
        yield f"no result event at the end: {types}"


def sends_well_formed_conversations(run: SimulatedRun) -> Iterator[str]:
    """Every provider accepts the conversations."""
    for number, messages in enumerate(run.orchestrator.conversations()):
        for problem in conversation_errors(messages):
            yield f"LLM request {number}: {problem}"


def adds_follow_ups_once(run: SimulatedRun) -> Iterator[str]:
    """A follow-up that was handed out is in the conversation exactly once."""
    for text, count in Counter(run.job.follow_ups.values()).items():
        joined = max((_occurrences(text, messages) for messages in run.orchestrator.conversations()), default=0)
        if joined > count:
            yield f"the follow-up {text!r} is in the conversation {joined} times"
        if not joined and _was_due(run, text):
            yield f"the follow-up {text!r} was lost"


def _was_due(run: SimulatedRun, text: str) -> bool:
    """Whether the model was asked after a follow-up was handed out, and no fault could lose the follow-up."""
    polls = run.orchestrator.asked("prompt")
    if any(poll.fault for poll in polls) or run.plan.of(Kill, Outage, Fault, SlowNames, Freeze, Supersede):
        return False
    received = run.orchestrator.handed_out.get(text)
    if received is None or not run.orchestrator.reports or not run.orchestrator.reports[0]["success"]:
        return False
    return any(
        exchange.is_for_the_model and exchange.at > received + LATENCY for exchange in run.orchestrator.exchanges
    )


def _occurrences(text: str, messages: list[dict[str, str]]) -> int:
    """How often a text is in a conversation, including as a part of a merged message."""
    return sum(
        f"{SEPARATOR}{message['content']}{SEPARATOR}".count(f"{SEPARATOR}{text}{SEPARATOR}")
        for message in messages
        if message["role"] == "user"
    )
