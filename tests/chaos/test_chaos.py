"""The reference job with faults: a cancel at each await of each actor, and plans of random faults."""

from __future__ import annotations

import pytest

from chaos.reference import ANSWER, reference_job
from trioworker.testing import (
    Freeze,
    Kill,
    Outage,
    Plan,
    Signal,
    Supersede,
    Suspend,
    assert_invariants,
    cancel_points,
    check_plans,
    random_plans,
    simulate,
)

SEEDS = 100
MIN_PAIRS = 500


def broken_invariants(plans: list[Plan]) -> dict[str, tuple[str, ...]]:
    return {str(checked.plan): checked.broken for checked in check_plans(reference_job, plans) if checked.broken}


def test_job_without_faults_gives_the_answer() -> None:
    run = simulate(reference_job)
    assert_invariants(run)
    assert run.outcome is not None
    assert run.outcome.message == ANSWER


def test_cancel_at_any_await_of_any_actor_breaks_no_invariant(capsys: pytest.CaptureFixture[str]) -> None:
    plans = cancel_points(reference_job)
    broken = broken_invariants(plans)
    with capsys.disabled():
        print(f"\ncancel matrix: {len(plans)} (actor, await) pairs, {len(plans) - len(broken)} hold")
    assert broken == {}
    assert len(plans) > MIN_PAIRS


def test_random_cancels_faults_and_kills_break_no_invariant() -> None:
    assert broken_invariants(random_plans(reference_job, range(SEEDS))) == {}


def test_outage_of_a_minute_costs_at_most_a_minute_and_no_event() -> None:
    without_faults = simulate(reference_job).ended_at
    for seed in range(10):
        run = simulate(reference_job, [Outage(8 + seed % 8, 60)], seed=seed)
        assert_invariants(run)
        assert run.ended_at - without_faults <= 60 + 5, "an outage, and one pause between two attempts"
        assert run.outcome is not None
        assert run.outcome.metrics.events_lost == 0


def test_process_that_is_killed_ten_times_still_reports_once() -> None:
    run = simulate(reference_job, [Kill(write, 50, power=bool(write % 2)) for write in range(10, 100, 9)], seed=3)
    assert_invariants(run)
    assert run.starts > 5
    assert run.orchestrator.reports[0]["success"]


@pytest.mark.parametrize("at", [0.02, 9.0, 23.9, 23.93])
def test_job_that_gets_a_signal_reports_within_the_grace(at: float) -> None:
    run = simulate(reference_job, [Signal(at)])
    assert_invariants(run)
    assert run.outcome is not None
    assert run.outcome.reported
    assert run.ended_at <= at + run.config.grace


def test_job_that_is_suspended_at_any_time_is_resumed_and_gives_the_answer() -> None:
    moments = [0.02, *range(1, 24), 23.9, 23.93]
    assert broken_invariants([Plan(0, (Suspend(at),)) for at in moments]) == {}


def test_superseded_start_ends_and_the_next_one_gives_the_answer() -> None:
    run = simulate(reference_job, [Supersede(5.0), Supersede(20.0)])
    assert_invariants(run)
    assert run.starts == 3
    assert run.orchestrator.reports[0]["message"] == ANSWER


def test_superseded_start_whose_refusal_is_garbled_may_fail_the_job() -> None:
    run = simulate(reference_job, "3383 refused:4 reset-after:8 cut:3 garbage:15 supersede:2.4")
    assert_invariants(run)
    assert not run.orchestrator.reports[0]["success"]


def test_event_whose_refusal_is_garbled_may_be_lost() -> None:
    run = simulate(
        reference_job, "8633 garbage:53 delay:11:400.0 refused:2 cut:0 names:0.1:5.0 supersede:20.2 supersede:3.6"
    )
    assert_invariants(run)
    assert "(1 events could not be delivered)" in run.orchestrator.reports[0]["message"]


def test_job_that_is_frozen_beyond_its_deadline_reports() -> None:
    run = simulate(reference_job, [Freeze(9.0, 700.0)])
    assert_invariants(run)
    assert run.orchestrator.reports[0]["message"].startswith("Execution timed out")
