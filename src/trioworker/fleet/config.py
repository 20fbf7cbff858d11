"""The configuration of `trioworker fleet`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec


class FleetConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Options of `trioworker fleet`. `cpu` is in cores per worker, `memory` a quantity of Kubernetes."""

    jobs: Path
    """The file of jobs, or with `llm`, of tasks."""
    engine: Literal["process", "ray", "kubernetes"]
    orchestrator_url: str
    workspace: str | None
    results: Path
    logs: Path | None
    parallel: int
    attempts: int
    cpu: float
    memory: str
    address: str | None
    kubeconfig: Path | None
    context: str | None
    namespace: str | None
    image: str | None
    pod_template: Path | None
    dry_run: bool
    admin_token: str | None
    """The secret of the orchestrator at `orchestrator_url`, for asking how jobs of lost workers ended."""
    llm: str | None
    """The model of tasks; None: the jobs are those of an orchestrator."""
    model: str | None
    api_key_variable: str | None
    state_dir: Path
    """The folder of the journals and the database of tasks."""
    worker_options: Mapping[str, Callable[[str], Any]]
    """The options of a worker that a line may set, each with the parser of its value."""

    def __repr__(self) -> str:
        return f"FleetConfig(jobs={self.jobs!r}, engine={self.engine!r})"
