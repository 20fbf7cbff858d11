"""Invariants of a job's end: it is in time, with one report, of success unless a fault excuses a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.testing.simulation.excuses import frozen_seconds, may_fail, report_may_fail
from trioworker.testing.simulation.planned_faults import ClockJump, Kill
from trioworker.testing.simulation.simulate import RESTART_DELAY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trioworker.testing.simulation.job import SimulatedRun

MARGIN = 1.0
"""Seconds for the cleanup after a shutdown that used up its time."""


def ends_in_time(run: SimulatedRun) -> Iterator[str]:
    """The last process returns an outcome before the deadline of the job or of a signal."""
    if run.runaway:
        yield f"the job never ends: {run.runaway}"
        return
    timeout, grace = run.config.timeout, run.config.grace
    kills = run.starts - 1
    limit = timeout + grace + kills * (RESTART_DELAY + grace) + frozen_seconds(run)
    if run.plan.of(Kill) and run.plan.of(ClockJump):
        # A machine that boots with a clock that was set back doesn't know how long the job has run.
        limit += kills * timeout
    if run.ended_at > limit:
        yield f"the job ended after {run.ended_at:.1f} s; at most {limit:.1f} s are allowed"
    if run.signalled_at is not None and run.outcome is not None:
        limit = run.signalled_at + grace + frozen_seconds(run)
        if run.was_signalled_last and run.ended_at > limit + MARGIN:
            yield f"the job ended at {run.ended_at:.1f} s; after the signal, it must end by {limit:.1f} s"
    if run.outcome is None and not run.error:
        yield "the last process returned no outcome"


def reports_once(run: SimulatedRun) -> Iterator[str]:
    """One report is accepted, and no request succeeds after it."""
    accepted = len(run.orchestrator.reports)
    if accepted > 1:
        yield f"{accepted} reports were accepted"
    if accepted == 0 and not run.error and not report_may_fail(run):
        yield "no report was accepted"
    exchanges = run.orchestrator.exchanges
    handled = [exchange for exchange in exchanges if exchange.handled and exchange.path == "complete"]
    if accepted and handled:
        later = exchanges[exchanges.index(handled[0]) + 1 :]
        extra = [exchange.path for exchange in later if exchange.status in range(200, 300)]
        if extra:
            yield f"requests that succeeded after the report: {extra}"
    knows = run.outcome is None or run.outcome.reported or report_may_fail(run)
    if accepted and not knows:
        yield "the report was accepted, but the worker says that it wasn't"


def claims_only_accepted_reports(run: SimulatedRun) -> Iterator[str]:
    """A report that was sent before a signal counts as accepted, even if the attempt fails (contract, 'HTTP')."""
    claimed = run.outcome is not None and run.outcome.reported
    if claimed and not run.orchestrator.reports and not run.signalled_in_vain:
        yield "the worker says that it reported, but no report was accepted"


def succeeds(run: SimulatedRun) -> Iterator[str]:
    """The job ends with its answer, unless a fault makes that impossible."""
    if not run.orchestrator.reports:
        if run.error and not may_fail(run):
            yield f"gave up: {run.error}"
        return
    report = run.orchestrator.reports[0]
    message = str(report["message"]).split("\n(", 1)[0]
    if report["success"]:
        if run.job.answer not in (None, message):
            yield f"answered {message!r}"
    elif not may_fail(run):
        yield f"failed without a reason in the plan: {message!r}"
    elif not message.startswith("Execution "):
        yield f"the message of a failure doesn't say so: {message!r}"
