"""What must hold after any run, however it was attacked."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from chaos.harness import GRACE, RESTART_DELAY, TIMEOUT
from chaos.plan import Disturb, Kill, Outage
from chaos.reference import ANSWER, CALLS, FOLLOW_UP
from trioworker.worker.client.retries import BACKOFF_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.harness import Evidence
    from support.world import Exchange

LLM = "llm/"
FINAL = range(400, 500)
PASSING_4XX = {408, 425, 429}


def violations(evidence: Evidence) -> list[str]:
    """What does not hold, one line each; empty is good."""
    return [
        *_ends(evidence),
        *_reports_once(evidence),
        *_answers(evidence),
        *_tells_all_events(evidence),
        *_starts_calls_once(evidence),
        *_speaks_in_order(evidence),
        *_hears_cancels(evidence),
        *_leaves_nothing(evidence),
    ]


def _ends(evidence: Evidence) -> Iterator[str]:
    if evidence.runaway:
        yield "the job never ends"
    deaths = evidence.lives - 1
    limit = TIMEOUT + GRACE + deaths * (RESTART_DELAY + GRACE)
    if evidence.ended_at > limit:
        yield f"the job ended after {evidence.ended_at:.1f} s, {limit:.1f} s at the most"
    if evidence.outcome is None and not evidence.error:
        yield "the last process told no outcome"


def _reports_once(evidence: Evidence) -> Iterator[str]:
    accepted = len(evidence.world.reports)
    if accepted > 1:
        yield f"{accepted} reports were accepted"
    if accepted == 0 and not evidence.error and not _away_at_the_end(evidence):
        yield "no report was accepted"
    answered = [exchange for exchange in evidence.world.exchanges if exchange.status in range(200, 300)]
    handled = [exchange for exchange in evidence.world.exchanges if exchange.handled and exchange.path == "complete"]
    if accepted and handled:
        later = evidence.world.exchanges[evidence.world.exchanges.index(handled[0]) + 1 :]
        extra = [exchange.path for exchange in later if exchange in answered]
        if extra:
            yield f"answered after the report: {extra}"
    if evidence.outcome is not None and accepted and not evidence.outcome.reported:
        yield "the report was accepted, and the worker does not know"


def _away_at_the_end(evidence: Evidence) -> bool:
    """The orchestrator was away for so long that the farewell ran out; the next start of the same command reports."""
    return any(
        isinstance(attack, Outage) and attack.start + attack.seconds + BACKOFF_LIMIT > evidence.ended_at
        for attack in evidence.plan.attacks
    )


def _answers(evidence: Evidence) -> Iterator[str]:
    if not evidence.world.reports:
        if evidence.error and not _may_fail(evidence):
            yield f"gave up: {evidence.error}"
        return
    report = evidence.world.reports[0]
    message = str(report["message"]).split("\n(", 1)[0]
    if report["success"]:
        if message != ANSWER:
            yield f"answered {message!r}"
        missing = CALLS - {run.text for run in evidence.log.runs if run.ended is not None}
        if missing:
            yield f"answered without having done {sorted(missing)}"
    elif not _may_fail(evidence):
        yield f"failed without a reason in the plan: {message!r}"
    elif not message.startswith("Execution "):
        yield f"a failure that does not say so: {message!r}"


def _may_fail(evidence: Evidence) -> bool:
    """Whether an attack made the answer impossible: a final refusal, or wrong bodies one after the other."""
    garbage = 0
    for exchange in evidence.world.exchanges:
        needed = exchange.path.startswith(LLM) or exchange.path in {"job", "credentials"}
        if not needed or exchange.fault is None:
            continue
        if exchange.fault.kind == "status" and _is_final(exchange.fault.status):
            return True
        garbage += exchange.fault.kind in {"garbage", "delay"}
        if exchange.path in {"job", "credentials"} and evidence.plan.of(Outage):
            # The first contact has 60 s, which an outage and a disturbance use up together.
            return True
    return garbage >= 2 or _too_many_cancels(evidence)


def _too_many_cancels(evidence: Evidence) -> bool:
    return any(count > 5 for count in evidence.cancelled.values())


def _is_final(status: int) -> bool:
    return status in FINAL and status not in PASSING_4XX


def _tells_all_events(evidence: Evidence) -> Iterator[str]:
    seqs = [exchange.body["data"]["seq"] for exchange in _handled(evidence, "event")]
    first_seen = list(dict.fromkeys(seqs))
    if first_seen != sorted(first_seen):
        yield f"events out of order: {first_seen}"
    refused = {
        exchange.body["data"]["seq"]
        for exchange in evidence.world.exchanges
        if exchange.path == "event"
        and exchange.fault
        and exchange.fault.kind == "status"
        and _is_final(exchange.fault.status)
    }
    known = set(first_seen) | refused
    if evidence.world.reports and known != set(range(max(known, default=-1) + 1)):
        yield f"a gap in the events: {sorted(known)}"
    told: dict[int, Any] = {}
    for exchange in _handled(evidence, "event"):
        seq = exchange.body["data"]["seq"]
        if told.setdefault(seq, exchange.body) != exchange.body:
            yield f"event {seq} was told in two ways: {told[seq]} and {exchange.body}"
    dropped = "could not be delivered" in str(evidence.world.reports)
    types = [event["event_type"] for event in evidence.world.events]
    if evidence.world.reports and not refused and not dropped and (types.count("result") != 1 or types[-1] != "result"):
        yield f"no result event at the end: {types}"


def _starts_calls_once(evidence: Evidence) -> Iterator[str]:
    asked = Counter(
        call["arguments"].get("text")
        for message in _last_conversation(evidence)
        for call in message.get("tool_calls") or ()
    )
    for text, count in Counter(run.text for run in evidence.log.runs).items():
        if count > max(asked[text], 1) and evidence.world.reports and evidence.world.reports[0]["success"]:
            yield f"the call {text!r} was asked for {asked[text]} times and started {count} times"


def _last_conversation(evidence: Evidence) -> list[dict[str, Any]]:
    conversations = evidence.world.conversations()
    return conversations[-1] if conversations else []


def _speaks_in_order(evidence: Evidence) -> Iterator[str]:
    for number, messages in enumerate(evidence.world.conversations()):
        for problem in ill_formed(messages):
            yield f"request {number} to the model: {problem}"
    polled = [exchange for exchange in evidence.world.exchanges if exchange.path == "prompt" and exchange.fault]
    heard = sum(message == {"role": "user", "content": FOLLOW_UP} for message in _last_conversation(evidence))
    if heard > 1:
        yield f"the follow-up was heard {heard} times"
    disturbed = polled or evidence.plan.of(Kill) or evidence.plan.of(Outage) or evidence.plan.of(Disturb)
    if not heard and not disturbed and evidence.world.reports and evidence.world.reports[0]["success"]:
        yield "the follow-up was lost"


def ill_formed(messages: list[dict[str, Any]]) -> Iterator[str]:
    """What a provider would refuse in a conversation."""
    roles = [message["role"] for message in messages]
    if roles[:2] != ["system", "user"] or "system" in roles[1:]:
        yield f"begins {roles[:3]}"
    if roles[-1] == "assistant":
        yield "ends with the assistant"
    waiting: list[str] = []
    for message in messages:
        if not isinstance(message["content"], str):
            yield f"content {message['content']!r}"
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                yield f"an answer to no call: {message['tool_call_id']}"
            else:
                waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            yield f"calls without an answer: {waiting}"
        waiting = [call["id"] for call in message.get("tool_calls") or ()]
    if waiting:
        yield f"calls without an answer: {waiting}"


def _hears_cancels(evidence: Evidence) -> Iterator[str]:
    if evidence.plan.of(Kill):
        # A death may come between the cancel and the restart.
        return
    for name, count in evidence.cancelled.items():
        # The last one may meet an actor that is about to end, and so may several at one step.
        if evidence.restarts[name] < count - 1:
            yield f"{name} was cancelled {count} times and restarted {evidence.restarts[name]} times"


def _leaves_nothing(evidence: Evidence) -> Iterator[str]:
    if evidence.tasks_left:
        yield f"{evidence.tasks_left} tasks are left"
    if evidence.disk.open:
        yield f"{evidence.disk.open} journals are left open"
    running = [run.text for run in evidence.log.runs if run.ended is None and not run.cancelled]
    if running:
        yield f"tools still run: {running}"


def _handled(evidence: Evidence, path: str) -> list[Exchange]:
    return [exchange for exchange in evidence.world.exchanges if exchange.path == path and exchange.handled]
