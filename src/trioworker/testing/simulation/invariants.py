"""What holds after any run of any job, whatever its faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.testing.simulation.call_invariants import (
    leaves_nothing,
    restarts_after_cancels,
    runs_calls_once,
    swallows_no_cancel,
)
from trioworker.testing.simulation.delivery_invariants import (
    adds_follow_ups_once,
    delivers_all_events,
    sends_well_formed_conversations,
)
from trioworker.testing.simulation.report_invariants import (
    claims_only_accepted_reports,
    ends_in_time,
    reports_once,
    succeeds,
)

if TYPE_CHECKING:
    from trioworker.testing.simulation.job import SimulatedRun

INVARIANTS = (
    ends_in_time,
    reports_once,
    claims_only_accepted_reports,
    succeeds,
    delivers_all_events,
    sends_well_formed_conversations,
    adds_follow_ups_once,
    runs_calls_once,
    swallows_no_cancel,
    restarts_after_cancels,
    leaves_nothing,
)


def violations(run: SimulatedRun) -> list[str]:
    """The invariants that a run broke, one line each."""
    broken = [problem for invariant in INVARIANTS for problem in invariant(run)]
    if run.job.invariant is not None:
        try:
            run.job.invariant(run)
        except AssertionError as error:
            broken.append(str(error) or "the job's own invariant doesn't hold")
    return broken


def assert_invariants(run: SimulatedRun) -> None:
    """Check what holds after any run, and the invariant of the job.

    Every run ends in time with one accepted report, which reports success unless a fault excuses a failure. All events
    arrive, in order. Each request to the model is well-formed, and each follow-up is in the conversation once. No call
    is started more often than the model asked for it, no tool swallows a cancel, cancelled actors are restarted, and no
    task, call or open journal is left.

    Raises:
        AssertionError: lists the broken invariants, one line each, and the line that repeats the run.
    """
    __tracebackhide__ = True
    broken = violations(run)
    if broken:
        raise AssertionError("\n".join([*broken, f"repeat: {run.repeat}"]))
