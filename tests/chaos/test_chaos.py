"""The reference job under attack: each await of each actor, and seeds."""

from __future__ import annotations

import pytest

from chaos.harness import run_plan
from chaos.invariants import ill_formed, violations
from chaos.plan import Cancel, Disturb, Kill, Outage, Plan, parse_plan, plan_from
from chaos.reference import ANSWER
from chaos.runner import cancel_matrix, check_all, shrink

SEEDS = 200
LEAST_PAIRS = 500


def test_the_undisturbed_job_gives_the_answer() -> None:
    evidence = run_plan(Plan(0))
    assert violations(evidence) == []
    assert evidence.outcome is not None
    assert evidence.outcome.message == ANSWER


def test_a_run_is_repeated_to_the_request() -> None:
    plan = plan_from(7)
    first, second = run_plan(plan), run_plan(plan)
    assert [str(exchange) for exchange in first.world.exchanges] == [
        str(exchange) for exchange in second.world.exchanges
    ]


def test_each_actor_may_be_cancelled_at_each_of_its_awaits(capsys: pytest.CaptureFixture[str]) -> None:
    plans = cancel_matrix()
    broken = {str(plan): problems for plan, problems in check_all(plans) if problems}
    with capsys.disabled():
        print(f"\ncancel matrix: {len(plans)} (actor, await) pairs, {len(plans) - len(broken)} hold")
    assert broken == {}
    assert len(plans) > LEAST_PAIRS


def test_seeds_of_cancels_faults_and_deaths() -> None:
    broken = {str(plan): problems for plan, problems in check_all(map(plan_from, range(SEEDS))) if problems}
    assert broken == {}


def test_an_outage_of_a_minute_costs_a_minute_at_most_and_no_event() -> None:
    undisturbed = run_plan(Plan(0)).ended_at
    for seed in range(10):
        evidence = run_plan(Plan(seed, (Outage(start=8 + seed % 8, seconds=60),)))
        assert violations(evidence) == []
        assert evidence.ended_at - undisturbed <= 60 + 5, "an outage, and one pause between two attempts"
        assert evidence.outcome is not None
        assert evidence.outcome.metrics.events_lost == 0


def test_a_process_that_dies_again_and_again_still_ends_the_job_once() -> None:
    kills = tuple(Kill(write, 50, power=bool(write % 2)) for write in range(10, 100, 9))
    evidence = run_plan(Plan(3, kills))
    assert violations(evidence) == []
    assert evidence.lives > 5
    assert evidence.world.reports[0]["success"]


def test_a_plan_can_be_written_down_and_read_back() -> None:
    plan = Plan(12, (Cancel("reasoner", 3), Disturb(4, "cut", 502), Outage(5, 60), Kill(6, 99, power=True)))
    assert parse_plan(str(plan)) == plan


def test_a_failing_plan_is_shrunk_to_what_it_needs() -> None:
    plan = Plan(1, (Cancel("reasoner", 3), Outage(5, 60), Kill(6, 99, power=True)))
    assert shrink(plan, lambda fewer: fewer.of(Outage)) == Plan(1, (Outage(5, 60),))


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([{"role": "user", "content": "x"}], "begins"),
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
                {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]},
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
def test_an_ill_formed_conversation_is_seen(messages: list[dict[str, object]], problem: str) -> None:
    assert problem in " ".join(ill_formed(messages))
