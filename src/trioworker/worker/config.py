"""What a worker is told before it starts: one frozen struct, from arguments and environment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from trioworker.protocol.limits import DEFAULT_CONTEXT_TOKENS, DEFAULT_EVENT_QUEUE

ReasoningMode = Literal["single", "two-phase"]
ContainmentMode = Literal["auto", "require", "off"]

DEFAULT_ORCHESTRATOR_URL = "http://host.docker.internal:50051"
"""Where the orchestrator listens, seen from a container (contract, 'How a worker is started')."""
DEFAULT_MAX_ITERATIONS = 50
MAX_ITERATIONS_LIMIT = 500
DEFAULT_TIMEOUT = 590.0
"""Seconds of a job. The host gives up 600 s after it made the container, a clock that starts before ours."""
DEFAULT_GRACE = 8.0
"""Seconds of the farewell after a signal or at the deadline: a container gets 10 s from SIGTERM to SIGKILL."""
DEFAULT_POLL_INTERVAL = 1.0
"""Seconds between two looks for a follow-up prompt."""


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a job's run depends on. The defaults are the command line's.

    `timeout`, `grace` and `poll_interval` are in seconds. `repr` never shows the token.
    """

    job_id: str
    token: str
    workspace: Path
    orchestrator_url: str = DEFAULT_ORCHESTRATOR_URL
    max_iterations: int = DEFAULT_MAX_ITERATIONS
    timeout: float = DEFAULT_TIMEOUT
    grace: float = DEFAULT_GRACE
    reasoning: ReasoningMode = "single"
    poll_interval: float = DEFAULT_POLL_INTERVAL
    event_queue: int = DEFAULT_EVENT_QUEUE
    context_limit: int = DEFAULT_CONTEXT_TOKENS
    state_dir: Path | None = None
    """Where the journal is kept; without one, the job does not outlive the process."""
    containment: ContainmentMode = "auto"
    """Confine commands by what the kernel offers, by all that is known or not at all, or not."""
    allow_write: tuple[Path, ...] | None = None
    """Where commands may write besides the workspace and temporary folders."""
    trace: Path | None = None
    """The file that a trace of the job is written to."""
    health_socket: Path | None = None
    """The Unix socket at which `trioworker health` asks how the worker is."""

    def __repr__(self) -> str:
        return f"WorkerConfig(job_id={self.job_id!r}, orchestrator_url={self.orchestrator_url!r})"
