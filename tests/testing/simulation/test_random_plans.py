"""Random plans: every kind of fault, within the length of the job."""

from __future__ import annotations

from typing import get_args

from chaos.reference import reference_job
from support.weather import weather_job
from trioworker.testing import Kill, Plan, Signal, random_plans, simulate
from trioworker.testing.faults import Fault
from trioworker.testing.simulation.planned_faults import PlannedFault

SEEDS = range(100)


def test_seeds_plan_every_kind_of_fault_and_each_plan_can_be_parsed() -> None:
    plans = random_plans(reference_job, SEEDS)
    assert [Plan.parse(str(plan)) for plan in plans] == plans
    assert {type(fault) for plan in plans for fault in plan.faults} == set(get_args(PlannedFault))


def test_same_seed_gives_the_same_plan() -> None:
    assert random_plans(weather_job, [7, 8]) == random_plans(weather_job, [7, 8])


def test_faults_are_within_the_length_of_the_job() -> None:
    run = simulate(weather_job)
    plans = random_plans(weather_job, SEEDS)
    requests = [fault.request or 0 for plan in plans for fault in plan.all_of(Fault)]
    assert max(requests) in range(len(run.orchestrator.exchanges) // 2, 2 * len(run.orchestrator.exchanges))
    assert max(kill.write for plan in plans for kill in plan.all_of(Kill)) < 2 * run.disk.writes
    assert max(signal.at for plan in plans for signal in plan.all_of(Signal)) < 2 * run.ended_at
