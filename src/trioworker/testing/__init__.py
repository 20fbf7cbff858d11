"""Chaos tests for any trio program, and a simulated orchestrator for workers.

The names below are the public ones. They are imported when they are first used: the cancel matrix needs only trio.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from trioworker.testing.matrix.api import cancel_matrix
    from trioworker.testing.matrix.report import CancelMatrixError, CancelMatrixReport, Failure

_HOMES = {
    "CancelMatrixError": "matrix.report",
    "CancelMatrixReport": "matrix.report",
    "Failure": "matrix.report",
    "cancel_matrix": "matrix.api",
}

__all__ = [
    "CancelMatrixError",
    "CancelMatrixReport",
    "Failure",
    "cancel_matrix",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'trioworker.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"trioworker.testing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
