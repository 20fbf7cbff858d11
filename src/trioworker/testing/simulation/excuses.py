"""What the faults of a run excuse: a job that failed, and a report that didn't arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.supervision.actor import MAX_RESTARTS
from trioworker.testing.simulation.planned_faults import ClockJump, Freeze, Kill, Outage, SlowNames
from trioworker.testing.simulation.world import LOOKUP_SECONDS, is_refused_by_fault
from trioworker.worker.client.retries import BACKOFF_LIMIT

if TYPE_CHECKING:
    from trioworker.testing.simulation.job import SimulatedRun

BOOTSTRAP = frozenset({"job", "credentials"})
"""The paths of the bootstrap's requests."""


def frozen_seconds(run: SimulatedRun) -> float:
    """How long the processes were frozen."""
    return sum(fault.seconds for fault in run.fired if isinstance(fault, Freeze))


def may_fail(run: SimulatedRun) -> bool:
    """Whether a fault made success impossible: a final refusal, several malformed bodies, too many cancels, a stop."""
    garbage = 0
    for exchange in run.orchestrator.exchanges:
        if exchange.fault is None or not (exchange.is_for_the_model or exchange.path in BOOTSTRAP):
            continue
        if is_refused_by_fault(exchange):
            return True
        garbage += exchange.fault.kind in {"garbage", "delay"}
        if exchange.path in BOOTSTRAP and run.plan.of(Outage):
            # The bootstrap has 60 s, which an outage and another fault can use up together.
            return True
    too_many_cancels = any(count > MAX_RESTARTS for count in run.cancelled.values())
    return garbage >= 2 or too_many_cancels or _machine_may_end_it(run)


def _machine_may_end_it(run: SimulatedRun) -> bool:
    """Whether it was stopped, was frozen for too long, or resumed after a boot with a clock that was set forward."""
    booted_anew = any(fault.power for fault in run.plan.all_of(Kill))
    set_forward = any(fault.seconds > 0 for fault in run.plan.all_of(ClockJump))
    return run.signalled_at is not None or _was_frozen_too_long(run) or (booted_anew and set_forward)


def _was_frozen_too_long(run: SimulatedRun) -> bool:
    return frozen_seconds(run) > run.config.timeout / 2


def report_may_fail(run: SimulatedRun) -> bool:
    """Whether a fault outlasted a shutdown limited to the grace period; the next start of the same command reports."""
    outages = run.plan.all_of(Outage)
    if any(fault.at + fault.seconds + BACKOFF_LIMIT > run.ended_at for fault in outages):
        return True
    if run.signalled_in_vain or run.frozen_at_the_end:
        return True
    grace = run.config.grace
    began = run.signalled_at
    if began is None and (_was_frozen_too_long(run) or (run.plan.of(Kill) and run.plan.of(ClockJump))):
        # A freeze, or after a boot a wall clock that was set forward, leaves the job no time but the grace.
        began = run.ended_at - grace
    if began is None:
        return False
    names = run.plan.all_of(SlowNames)
    return any(fault.at + fault.seconds + LOOKUP_SECONDS > began for fault in names) or any(
        exchange.fault and exchange.at > began - grace for exchange in run.orchestrator.exchanges
    )
