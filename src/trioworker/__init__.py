"""trioworker runs one autonomous-agent job to its end, whatever happens.

The names below are the public ones. They are imported when they are first used, so that `import trioworker` costs
little. Only `sys` is imported here, not even `typing`: with `python -m`, that would come from the working directory.

The package's log is disabled; `loguru.logger.enable("trioworker")` enables it.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from trioworker.errors import (
        ActorFailedError,
        BadReplyError,
        ConfigError,
        InvalidParametersError,
        OrchestratorError,
        ReasoningError,
        RefusedError,
        SupersededError,
        ToolError,
        UnreachableError,
        WorkerError,
    )
    from trioworker.worker.api import open_job, run_job
    from trioworker.worker.config import WorkerConfig
    from trioworker.worker.lifecycle import RunningJob
    from trioworker.worker.outcome import JobOutcome, Metrics
    from trioworker.worker.tools.base import Parameters, Tool, ToolContext

_HOMES = {
    "WorkerConfig": "worker.config",
    "ActorFailedError": "errors",
    "BadReplyError": "errors",
    "ConfigError": "errors",
    "InvalidParametersError": "errors",
    "OrchestratorError": "errors",
    "ReasoningError": "errors",
    "RefusedError": "errors",
    "SupersededError": "errors",
    "ToolError": "errors",
    "UnreachableError": "errors",
    "WorkerError": "errors",
    "JobOutcome": "worker.outcome",
    "Metrics": "worker.outcome",
    "RunningJob": "worker.lifecycle",
    "Parameters": "worker.tools.base",
    "Tool": "worker.tools.base",
    "ToolContext": "worker.tools.base",
    "open_job": "worker.api",
    "run_job": "worker.api",
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
    "SupersededError",
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


if "loguru" in sys.modules:
    from trioworker.observability.default_log import disable_log

    disable_log()
