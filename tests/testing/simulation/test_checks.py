"""Many plans on all cores, and the result of shrinking a failing plan."""

from __future__ import annotations

import pytest

from support.weather import broken_job, crashing_job, job_in_need_of_its_network, weather_job
from trioworker.testing import Cancel, Fault, Kill, Outage, Plan, SimulatedJob, cancel_points, check_plans, shrink


def test_cancel_points_are_the_awaits_of_each_actor() -> None:
    plans = cancel_points(weather_job)
    cancels = [cancel for plan in plans for cancel in plan.all_of(Cancel)]
    assert len(plans) == len(cancels) == len(set(cancels)) > 50
    assert {cancel.actor for cancel in cancels} == {"prompt-poller", "reasoner", "tool-executor", "event-shipper"}


def test_each_plan_is_checked_in_order() -> None:
    plans = [Plan(1), Plan(2, (Outage(0, 30),)), Plan(3)]
    checked = list(check_plans(job_in_need_of_its_network, plans))
    assert [one.plan for one in checked] == plans
    assert [one.broken for one in checked] == [(), ("the network failed",), ()]


def test_failure_of_any_kind_is_a_broken_invariant() -> None:
    broken = [next(check_plans(job, [Plan()])).broken for job in (broken_job, crashing_job)]
    assert broken[0][0].startswith("failed without a reason in the plan:")
    assert broken[1][0].startswith("crashed: ")
    assert "ZeroDivisionError: the check is wrong" in broken[1][0]


def test_job_that_other_processes_cannot_import_is_refused() -> None:
    def local() -> SimulatedJob:
        return weather_job()

    with pytest.raises(TypeError, match="define it at the top level of a module"):
        next(check_plans(local, [Plan()]))


def test_failing_plan_is_shrunk_to_the_faults_that_matter() -> None:
    plan = Plan(1, (Cancel("reasoner", 3), Outage(1, 60), Fault.cut(request=3), Kill(6, 99, power=True)))
    assert shrink(job_in_need_of_its_network, plan) == Plan(1, (Outage(1, 60),))
