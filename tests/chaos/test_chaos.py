"""The reference job with faults: a cancel at each await of each actor, and plans of random faults."""

from __future__ import annotations

from typing import get_args

import pytest

from chaos.harness import GRACE, run_plan
from chaos.invariants import violations
from chaos.plan import (
    Cancel,
    Freeze,
    Kill,
    NetworkFault,
    Outage,
    Plan,
    PlannedFault,
    Signal,
    Supersede,
    parse_plan,
    plan_from,
)
from chaos.reference import ANSWER
from chaos.runner import cancel_matrix, check_all, shrink
from support.wire_rules import conversation_errors

SEEDS = 100
MIN_PAIRS = 500


def test_job_without_faults_gives_the_answer() -> None:
    observed = run_plan(Plan(0))
    assert violations(observed) == []
    assert observed.outcome is not None
    assert observed.outcome.message == ANSWER


def test_same_plan_makes_the_same_requests() -> None:
    plan = plan_from(7)
    first, second = run_plan(plan), run_plan(plan)
    assert [str(exchange) for exchange in first.world.exchanges] == [
        str(exchange) for exchange in second.world.exchanges
    ]


def test_cancel_at_any_await_of_any_actor_breaks_no_invariant(capsys: pytest.CaptureFixture[str]) -> None:
    plans = cancel_matrix()
    broken = {str(plan): problems for plan, problems in check_all(plans) if problems}
    with capsys.disabled():
        print(f"\ncancel matrix: {len(plans)} (actor, await) pairs, {len(plans) - len(broken)} hold")
    assert broken == {}
    assert len(plans) > MIN_PAIRS


def test_random_cancels_faults_and_kills_break_no_invariant() -> None:
    broken = {str(plan): problems for plan, problems in check_all(map(plan_from, range(SEEDS))) if problems}
    assert broken == {}


def test_outage_of_a_minute_costs_at_most_a_minute_and_no_event() -> None:
    without_faults = run_plan(Plan(0)).ended_at
    for seed in range(10):
        observed = run_plan(Plan(seed, (Outage(start=8 + seed % 8, seconds=60),)))
        assert violations(observed) == []
        assert observed.ended_at - without_faults <= 60 + 5, "an outage, and one pause between two attempts"
        assert observed.outcome is not None
        assert observed.outcome.metrics.events_lost == 0


def test_process_that_is_killed_ten_times_still_reports_once() -> None:
    kills = tuple(Kill(write, 50, power=bool(write % 2)) for write in range(10, 100, 9))
    observed = run_plan(Plan(3, kills))
    assert violations(observed) == []
    assert observed.starts > 5
    assert observed.world.reports[0]["success"]


def test_plan_can_be_formatted_and_parsed() -> None:
    plan = Plan(12, (Cancel("reasoner", 3), NetworkFault(4, "cut", 502), Outage(5, 60), Kill(6, 99, power=True)))
    assert parse_plan(str(plan)) == plan


def test_seeds_plan_every_kind_of_fault_and_each_plan_can_be_parsed() -> None:
    plans = [plan_from(seed) for seed in range(SEEDS)]
    assert [parse_plan(str(plan)) for plan in plans] == plans
    assert {type(fault) for plan in plans for fault in plan.faults} == set(get_args(PlannedFault))


@pytest.mark.parametrize("at", [0.02, 9.0, 23.9, 23.93])
def test_job_that_gets_a_signal_reports_within_the_grace(at: float) -> None:
    observed = run_plan(Plan(0, (Signal(at),)))
    assert violations(observed) == []
    assert observed.outcome is not None
    assert observed.outcome.reported
    assert observed.ended_at <= at + GRACE


def test_superseded_start_ends_and_the_next_one_gives_the_answer() -> None:
    observed = run_plan(Plan(0, (Supersede(5.0), Supersede(20.0))))
    assert violations(observed) == []
    assert observed.starts == 3
    assert observed.world.reports[0]["message"] == ANSWER


def test_job_that_is_frozen_beyond_its_deadline_reports() -> None:
    observed = run_plan(Plan(0, (Freeze(9.0, 700.0),)))
    assert violations(observed) == []
    assert observed.world.reports[0]["message"].startswith("Execution timed out")


def test_failing_plan_is_shrunk_to_the_faults_that_matter() -> None:
    plan = Plan(1, (Cancel("reasoner", 3), Outage(5, 60), Kill(6, 99, power=True)))
    assert shrink(plan, lambda fewer: fewer.of(Outage)) == Plan(1, (Outage(5, 60),))


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([{"role": "user", "content": "x"}], "starts with"),
        ([{"role": "system", "content": ""}, {"role": "user", "content": None}], "content"),
        (
            [
                {"role": "system", "content": ""},
                {"role": "user", "content": ""},
                {"role": "tool", "content": "", "tool_call_id": "1"},
            ],
            "an answer to no call",
        ),
        (
            [
                {"role": "system", "content": ""},
                {"role": "user", "content": ""},
                {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "name": "x", "arguments": {"a": 1}}]},
                {"role": "user", "content": ""},
            ],
            "calls without an answer",
        ),
        (
            [
                {"role": "system", "content": ""},
                {"role": "user", "content": ""},
                {"role": "assistant", "content": ""},
            ],
            "ends with the assistant",
        ),
    ],
)
def test_ill_formed_conversation_is_detected(messages: list[dict[str, object]], problem: str) -> None:
    assert problem in " ".join(conversation_errors(messages))
