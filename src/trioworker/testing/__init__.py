"""Chaos tests for any trio program, and a simulated orchestrator for workers.

The names below are the public ones. They are imported when they are first used: the cancel matrix needs only trio.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from trioworker.testing.exchange import Exchange
    from trioworker.testing.faults import Fault
    from trioworker.testing.matrix.api import cancel_matrix
    from trioworker.testing.matrix.report import CancelMatrixError, CancelMatrixReport, Failure
    from trioworker.testing.matrix.resources import must_be_closed
    from trioworker.testing.matrix.targets import cancel_target
    from trioworker.testing.script import DONE, Turn, call, reply, say
    from trioworker.testing.simulated_orchestrator import SimulatedOrchestrator
    from trioworker.testing.simulation.checks import CheckedPlan, cancel_points, check_plans, shrink
    from trioworker.testing.simulation.invariants import assert_invariants
    from trioworker.testing.simulation.job import SimulatedJob, SimulatedRun
    from trioworker.testing.simulation.plan import Plan
    from trioworker.testing.simulation.planned_faults import (
        Cancel,
        ClockJump,
        Freeze,
        Kill,
        Outage,
        Signal,
        SlowNames,
        Supersede,
        Suspend,
    )
    from trioworker.testing.simulation.random_plans import random_plans
    from trioworker.testing.simulation.recorded_tools import ToolRun
    from trioworker.testing.simulation.simulate import simulate
    from trioworker.testing.steps import ActorSteps, Steps

_HOMES = {
    "DONE": "script",
    "ActorSteps": "steps",
    "Cancel": "simulation.planned_faults",
    "CancelMatrixError": "matrix.report",
    "CancelMatrixReport": "matrix.report",
    "CheckedPlan": "simulation.checks",
    "ClockJump": "simulation.planned_faults",
    "Exchange": "exchange",
    "Failure": "matrix.report",
    "Fault": "faults",
    "Freeze": "simulation.planned_faults",
    "Kill": "simulation.planned_faults",
    "Outage": "simulation.planned_faults",
    "Plan": "simulation.plan",
    "Signal": "simulation.planned_faults",
    "SimulatedJob": "simulation.job",
    "SimulatedOrchestrator": "simulated_orchestrator",
    "SimulatedRun": "simulation.job",
    "SlowNames": "simulation.planned_faults",
    "Steps": "steps",
    "Supersede": "simulation.planned_faults",
    "Suspend": "simulation.planned_faults",
    "ToolRun": "simulation.recorded_tools",
    "Turn": "script",
    "assert_invariants": "simulation.invariants",
    "call": "script",
    "cancel_matrix": "matrix.api",
    "cancel_points": "simulation.checks",
    "cancel_target": "matrix.targets",
    "check_plans": "simulation.checks",
    "must_be_closed": "matrix.resources",
    "random_plans": "simulation.random_plans",
    "reply": "script",
    "say": "script",
    "shrink": "simulation.checks",
    "simulate": "simulation.simulate",
}

__all__ = [
    "DONE",
    "ActorSteps",
    "Cancel",
    "CancelMatrixError",
    "CancelMatrixReport",
    "CheckedPlan",
    "ClockJump",
    "Exchange",
    "Failure",
    "Fault",
    "Freeze",
    "Kill",
    "Outage",
    "Plan",
    "Signal",
    "SimulatedJob",
    "SimulatedOrchestrator",
    "SimulatedRun",
    "SlowNames",
    "Steps",
    "Supersede",
    "Suspend",
    "ToolRun",
    "Turn",
    "assert_invariants",
    "call",
    "cancel_matrix",
    "cancel_points",
    "cancel_target",
    "check_plans",
    "must_be_closed",
    "random_plans",
    "reply",
    "say",
    "shrink",
    "simulate",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'trioworker.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"trioworker.testing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
