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
    from trioworker.testing.steps import ActorSteps, Steps

_HOMES = {
    "DONE": "script",
    "ActorSteps": "steps",
    "CancelMatrixError": "matrix.report",
    "CancelMatrixReport": "matrix.report",
    "Exchange": "exchange",
    "Failure": "matrix.report",
    "Fault": "faults",
    "SimulatedOrchestrator": "simulated_orchestrator",
    "Steps": "steps",
    "Turn": "script",
    "call": "script",
    "cancel_matrix": "matrix.api",
    "cancel_target": "matrix.targets",
    "must_be_closed": "matrix.resources",
    "reply": "script",
    "say": "script",
}

__all__ = [
    "DONE",
    "ActorSteps",
    "CancelMatrixError",
    "CancelMatrixReport",
    "Exchange",
    "Failure",
    "Fault",
    "SimulatedOrchestrator",
    "Steps",
    "Turn",
    "call",
    "cancel_matrix",
    "cancel_target",
    "must_be_closed",
    "reply",
    "say",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'trioworker.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"trioworker.testing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
