"""What holds after any run, whatever its faults. `support/process_invariants.py` checks the jobs of real workers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from chaos.harness import GRACE, LOOKUP_SECONDS, RESTART_DELAY, TIMEOUT
from chaos.plan import ClockJump, Freeze, Kill, NetworkFault, Outage, Signal, SlowNames, Supersede
from chaos.reference import ANSWER, CALLS, FOLLOW_UP
from support.wire_rules import changed_events, conversation_errors
from trioworker.worker.client.retries import BACKOFF_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.harness import Observations
    from trioworker.testing import Exchange

LLM = "llm/"
MARGIN = 1.0
"""Seconds for the cleanup after a shutdown that used up its time."""
FINAL = range(400, 500)
TRANSIENT_4XX = {408, 425, 429}


def violations(observed: Observations) -> list[str]:
    """The invariants that a run broke, one line each."""
    return [
        *_ends(observed),
        *_reports_once(observed),
        *_claims_only_accepted_reports(observed),
        *_gives_the_answer(observed),
        *_delivers_all_events(observed),
        *_starts_calls_once(observed),
        *_sends_well_formed_conversations(observed),
        *_restarts_after_cancels(observed),
        *_leaves_nothing(observed),
    ]


def _ends(observed: Observations) -> Iterator[str]:
    if observed.runaway:
        yield "the job never ends"
    kills = observed.starts - 1
    limit = TIMEOUT + GRACE + kills * (RESTART_DELAY + GRACE) + _frozen(observed)
    if observed.plan.of(Kill) and observed.plan.of(ClockJump):
        # A machine that boots with a wall clock that was set back doesn't know how long the job has run.
        limit += kills * TIMEOUT
    if observed.ended_at > limit:
        yield f"the job ended after {observed.ended_at:.1f} s, at most {limit:.1f} s are allowed"
    if observed.signalled_at is not None and observed.outcome is not None:
        limit = observed.signalled_at + GRACE + _frozen(observed)
        if observed.was_signalled_last and observed.ended_at > limit + MARGIN:
            yield f"the job ended at {observed.ended_at:.1f} s, {limit:.1f} s are allowed after the signal"
    if observed.outcome is None and not observed.error:
        yield "the last process returned no outcome"


def _reports_once(observed: Observations) -> Iterator[str]:
    accepted = len(observed.world.reports)
    if accepted > 1:
        yield f"{accepted} reports were accepted"
    if accepted == 0 and not observed.error and not _report_may_fail(observed):
        yield "no report was accepted"
    answered = [exchange for exchange in observed.world.exchanges if exchange.status in range(200, 300)]
    handled = [exchange for exchange in observed.world.exchanges if exchange.handled and exchange.path == "complete"]
    if accepted and handled:
        later = observed.world.exchanges[observed.world.exchanges.index(handled[0]) + 1 :]
        extra = [exchange.path for exchange in later if exchange in answered]
        if extra:
            yield f"answered after the report: {extra}"
    knows = observed.outcome is None or observed.outcome.reported or _report_may_fail(observed)
    if accepted and not knows:
        yield "the report was accepted, and the worker does not know"


def _claims_only_accepted_reports(observed: Observations) -> Iterator[str]:
    """A signal after the report was sent means that it arrived (contract, 'HTTP'), even if that attempt fails."""
    claimed = observed.outcome is not None and observed.outcome.reported
    if claimed and not observed.world.reports and not observed.signalled_in_vain:
        yield "the worker says that it reported, and no report was accepted"


def _report_may_fail(observed: Observations) -> bool:
    """A fault outlasted a shutdown that had only the grace; the next start of the same command reports."""
    outages = observed.plan.all_of(Outage)
    if any(fault.start + fault.seconds + BACKOFF_LIMIT > observed.ended_at for fault in outages):
        return True
    if observed.signalled_in_vain or observed.frozen_at_the_end:
        return True
    began = observed.signalled_at
    if began is None and observed.plan.of(Kill) and observed.plan.of(ClockJump):
        # After a boot, a wall clock that was set forward leaves the job no time.
        began = observed.ended_at - GRACE
    if began is None:
        return False
    names = observed.plan.all_of(SlowNames)
    return any(fault.at + fault.seconds + LOOKUP_SECONDS > began for fault in names) or any(
        exchange.fault and exchange.at > began - GRACE for exchange in observed.world.exchanges
    )


def _frozen(observed: Observations) -> float:
    return sum(fault.seconds for fault in observed.fired if isinstance(fault, Freeze))


def _gives_the_answer(observed: Observations) -> Iterator[str]:
    if not observed.world.reports:
        if observed.error and not _may_fail(observed):
            yield f"gave up: {observed.error}"
        return
    report = observed.world.reports[0]
    message = str(report["message"]).split("\n(", 1)[0]
    if report["success"]:
        if message != ANSWER:
            yield f"answered {message!r}"
        missing = CALLS - {run.text for run in observed.log.runs if run.ended is not None}
        if missing:
            yield f"answered without having done {sorted(missing)}"
    elif not _may_fail(observed):
        yield f"failed without a reason in the plan: {message!r}"
    elif not message.startswith("Execution "):
        yield f"the message of a failure doesn't say so: {message!r}"


def _may_fail(observed: Observations) -> bool:
    """Whether a fault made the answer impossible: a final refusal, or several malformed bodies."""
    garbage = 0
    for exchange in observed.world.exchanges:
        needed = exchange.path.startswith(LLM) or exchange.path in {"job", "credentials"}
        if not needed or exchange.fault is None:
            continue
        if exchange.fault.kind == "status" and _is_final(exchange.fault.status):
            return True
        garbage += exchange.fault.kind in {"garbage", "delay"}
        if exchange.path in {"job", "credentials"} and observed.plan.of(Outage):
            # The bootstrap has 60 s, which an outage and another fault use up together.
            return True
    return garbage >= 2 or _too_many_cancels(observed) or _machine_may_end_it(observed)


def _machine_may_end_it(observed: Observations) -> bool:
    """Whether it was stopped, frozen for longer than its time, or resumed by a clock that was set forward."""
    booted_anew = any(fault.power for fault in observed.plan.all_of(Kill))
    set_forward = any(fault.seconds > 0 for fault in observed.plan.all_of(ClockJump))
    return observed.signalled_at is not None or _frozen(observed) > TIMEOUT / 2 or (booted_anew and set_forward)


def _too_many_cancels(observed: Observations) -> bool:
    return any(count > 5 for count in observed.cancelled.values())


def _is_final(status: int) -> bool:
    return status in FINAL and status not in TRANSIENT_4XX


def _delivers_all_events(observed: Observations) -> Iterator[str]:
    seqs = [exchange.body["data"]["seq"] for exchange in _handled(observed, "event")]
    first_seen = list(dict.fromkeys(seqs))
    if first_seen != sorted(first_seen):
        yield f"events out of order: {first_seen}"
    refused = {
        exchange.body["data"]["seq"]
        for exchange in observed.world.exchanges
        if exchange.path == "event"
        and exchange.fault
        and exchange.fault.kind == "status"
        and _is_final(exchange.fault.status)
    }
    known = set(first_seen) | refused
    if observed.world.reports and known != set(range(max(known, default=-1) + 1)):
        yield f"a gap in the events: {sorted(known)}"
    yield from changed_events(exchange.body for exchange in _handled(observed, "event"))
    dropped = "could not be delivered" in str(observed.world.reports)
    types = [event["event_type"] for event in observed.world.events]
    if observed.world.reports and not refused and not dropped and (types.count("result") != 1 or types[-1] != "result"):
        yield f"no result event at the end: {types}"


def _starts_calls_once(observed: Observations) -> Iterator[str]:
    asked = Counter(
        call["arguments"].get("text")
        for message in _last_conversation(observed)
        for call in message.get("tool_calls") or ()
    )
    for text, count in Counter(run.text for run in observed.log.runs).items():
        if count > max(asked[text], 1) and observed.world.reports and observed.world.reports[0]["success"]:
            yield f"the call {text!r} was asked for {asked[text]} times and started {count} times"


def _last_conversation(observed: Observations) -> list[dict[str, Any]]:
    conversations = observed.world.conversations()
    return conversations[-1] if conversations else []


def _sends_well_formed_conversations(observed: Observations) -> Iterator[str]:
    for number, messages in enumerate(observed.world.conversations()):
        for problem in conversation_errors(messages):
            yield f"LLM request {number}: {problem}"
    polled = [exchange for exchange in observed.world.exchanges if exchange.path == "prompt" and exchange.fault]
    joined = sum(message == {"role": "user", "content": FOLLOW_UP} for message in _last_conversation(observed))
    if joined > 1:
        yield f"the follow-up joined {joined} times"
    may_be_lost = polled or observed.plan.of(Kill, Outage, NetworkFault, SlowNames, Freeze, Supersede)
    if not joined and not may_be_lost and observed.world.reports and observed.world.reports[0]["success"]:
        yield "the follow-up was lost"


def _restarts_after_cancels(observed: Observations) -> Iterator[str]:
    if observed.plan.of(Kill, Signal, Freeze, Supersede):
        # The process may be killed, or its work may end, between the cancel and the restart.
        return
    for name, count in observed.cancelled.items():
        # The last cancel may reach an actor that is about to end, and several may come at one step.
        if observed.restarts[name] < count - 1:
            yield f"{name} was cancelled {count} times and restarted {observed.restarts[name]} times"


def _leaves_nothing(observed: Observations) -> Iterator[str]:
    if observed.tasks_left:
        yield f"{observed.tasks_left} tasks are left"
    if observed.disk.open:
        yield f"{observed.disk.open} journals are left open"
    running = [run.text for run in observed.log.runs if run.ended is None and not run.cancelled]
    if running:
        yield f"tools still run: {running}"


def _handled(observed: Observations, path: str) -> list[Exchange]:
    return [exchange for exchange in observed.world.exchanges if exchange.path == path and exchange.handled]
