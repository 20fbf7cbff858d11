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
        ReleasedError,
        SupersededError,
        ToolError,
        UnreachableError,
        WorkerError,
    )
    from trioworker.observability.finished_spans import FinishedSpan
    from trioworker.worker.api import open_job, run_job
    from trioworker.worker.cancellation import StopRequest
    from trioworker.worker.config import WorkerConfig
    from trioworker.worker.lifecycle import RunningJob
    from trioworker.worker.outcome import JobOutcome, Metrics
    from trioworker.worker.tools.base import AnyTool, Parameters, Tool, ToolContext, ToolResult
    from trioworker.worker.tools.registry import BUILTIN_TOOLS

_HOMES = {
    "WorkerConfig": "worker.config",
    "ActorFailedError": "errors",
    "BadReplyError": "errors",
    "ConfigError": "errors",
    "InvalidParametersError": "errors",
    "OrchestratorError": "errors",
    "ReasoningError": "errors",
    "RefusedError": "errors",
    "ReleasedError": "errors",
    "SupersededError": "errors",
    "ToolError": "errors",
    "UnreachableError": "errors",
    "WorkerError": "errors",
    "FinishedSpan": "observability.finished_spans",
    "JobOutcome": "worker.outcome",
    "Metrics": "worker.outcome",
    "RunningJob": "worker.lifecycle",
    "StopRequest": "worker.cancellation",
    "AnyTool": "worker.tools.base",
    "Parameters": "worker.tools.base",
    "Tool": "worker.tools.base",
    "ToolContext": "worker.tools.base",
    "ToolResult": "worker.tools.base",
    "BUILTIN_TOOLS": "worker.tools.registry",
    "open_job": "worker.api",
    "run_job": "worker.api",
}

__all__ = [
    "BUILTIN_TOOLS",
    "ActorFailedError",
    "AnyTool",
    "BadReplyError",
    "ConfigError",
    "FinishedSpan",
    "InvalidParametersError",
    "JobOutcome",
    "Metrics",
    "OrchestratorError",
    "Parameters",
    "ReasoningError",
    "RefusedError",
    "ReleasedError",
    "RunningJob",
    "StopRequest",
    "SupersededError",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolResult",
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


def __dir__() -> list[str]:
    return __all__


if "loguru" in sys.modules:
    from trioworker.observability.default_log import disable_log

    disable_log()
