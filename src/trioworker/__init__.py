"""trioworker runs one autonomous-agent job to its end, whatever happens.

The names below are the public ones. They are imported when they are first used, so that `import trioworker` costs
little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trioworker.config import WorkerConfig
    from trioworker.errors import (
        ActorFailedError,
        BadReplyError,
        ConfigError,
        InvalidParametersError,
        OrchestratorError,
        ReasoningError,
        RefusedError,
        ToolError,
        UnreachableError,
        WorkerError,
    )
    from trioworker.outcome import JobOutcome, Metrics
    from trioworker.running import RunningJob
    from trioworker.tools.base import Parameters, Tool, ToolContext
    from trioworker.worker import open_job, run_job

_HOMES = {
    "WorkerConfig": "config",
    "ActorFailedError": "errors",
    "BadReplyError": "errors",
    "ConfigError": "errors",
    "InvalidParametersError": "errors",
    "OrchestratorError": "errors",
    "ReasoningError": "errors",
    "RefusedError": "errors",
    "ToolError": "errors",
    "UnreachableError": "errors",
    "WorkerError": "errors",
    "JobOutcome": "outcome",
    "Metrics": "outcome",
    "RunningJob": "running",
    "Parameters": "tools.base",
    "Tool": "tools.base",
    "ToolContext": "tools.base",
    "open_job": "worker",
    "run_job": "worker",
}

__all__ = [
    "ActorFailedError",
    "BadReplyError",
    "ConfigError",
    "InvalidParametersError",
    "JobOutcome",
    "Metrics",
    "OrchestratorError",
    "Parameters",
    "ReasoningError",
    "RefusedError",
    "RunningJob",
    "Tool",
    "ToolContext",
    "ToolError",
    "UnreachableError",
    "WorkerConfig",
    "WorkerError",
    "open_job",
    "run_job",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'trioworker' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"trioworker.{_HOMES[name]}"), name)
