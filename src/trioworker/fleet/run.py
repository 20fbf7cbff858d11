"""`trioworker fleet`: reads the jobs, opens the engine and the results, and runs the scheduler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx
import msgspec
import trio

from trioworker.errors import ConfigError
from trioworker.fleet.job_status import HttpJobStatusClient
from trioworker.fleet.jobs import read_jobs
from trioworker.fleet.results import Results
from trioworker.fleet.scheduler import Scheduler
from trioworker.linux.syscalls import forbid_inspection
from trioworker.observability.logging import Logs
from trioworker.observability.notices import print_notice
from trioworker.protocol.exit_codes import FAILED, STOPPED, SUCCEEDED
from trioworker.supervision.nurseries import unwrap_single_exception
from trioworker.supervision.stop_signals import open_stop_receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from trioworker.fleet.engine import Engine
    from trioworker.fleet.jobs import FleetJob


class FleetConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of `trioworker fleet`. `cpu` is in cores per worker, `memory` a quantity of Kubernetes."""

    jobs: Path
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
    namespace: str
    image: str | None
    admin_token: str | None
    """The secret of the orchestrator at `orchestrator_url`, for asking how jobs of lost workers ended."""
    api_key_variable: str | None
    """The variable with the key of the model server; None is `OPENAI_API_KEY`."""
    worker_options: Mapping[str, Callable[[str], Any]]
    """The options of a worker that a job may set, each with the parser of its value."""

    def __repr__(self) -> str:
        return f"FleetConfig(jobs={self.jobs!r}, engine={self.engine!r})"


def run_fleet(config: FleetConfig) -> int:
    """Run the jobs that have no result, and return the exit code: 0 all succeeded, 1 some didn't, 4 stopped.

    Raises:
        ConfigError: the jobs, the results or the engine is unusable.
    """
    # No redaction: the fleet never logs a token or a worker's output.
    Logs("info", "text", lambda text: text)
    jobs = read_jobs(
        config.jobs,
        orchestrator_url=config.orchestrator_url,
        workspace=config.workspace,
        worker_options=config.worker_options,
    )
    if config.engine == "process":
        _check_workspaces(config.jobs, jobs)
    if config.logs is not None:
        try:
            config.logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--logs {config.logs}: {error.strerror}; name a folder") from error
    with Results(config.results) as results:
        left = [job for job in jobs if job.job_id not in results.done]
        if left:
            # Commands of the same user must not read the tokens in our memory.
            forbid_inspection()
            trio.run(_run, config, left, results)
        return _summarize(jobs, results)


async def _run(config: FleetConfig, jobs: Sequence[FleetJob], results: Results) -> None:
    timeout = httpx.Timeout(10.0)
    admin = None if config.admin_token is None else (config.orchestrator_url, config.admin_token)
    async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client, _engine(config) as engine:
        scheduler = Scheduler(
            engine, HttpJobStatusClient(client, admin), results, parallel=config.parallel, attempts=config.attempts
        )
        # Open until all workers have ended: otherwise a second signal would kill the fleet before them.
        with open_stop_receiver() as signals, unwrap_single_exception():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_stop, signals, scheduler)
                await scheduler.run(jobs)
                nursery.cancel_scope.cancel()


async def _stop(signals: AsyncIterator[int], scheduler: Scheduler) -> None:
    async for _ in signals:
        if not scheduler.stopping.is_set():
            print_notice("stopping; the running workers report first")
        scheduler.stop()


def _engine(config: FleetConfig) -> AbstractAsyncContextManager[Engine]:
    match config.engine:
        case "process":
            from trioworker.fleet.process_engine import open_process_engine

            return open_process_engine(config.logs)
        case "ray":
            from trioworker.fleet.ray_engine import open_ray_engine

            return open_ray_engine(config.address, config.cpu)
        case "kubernetes":
            from trioworker.fleet.kubernetes_engine import open_kubernetes_engine
            from trioworker.fleet.manifests import PodSettings

            if config.image is None:
                raise ConfigError("--image is missing: name the worker's image for --engine kubernetes")
            settings = PodSettings(
                image=config.image,
                namespace=config.namespace,
                cpu=config.cpu,
                memory=config.memory,
                attempts=config.attempts,
            )
            return open_kubernetes_engine(settings)


def _check_workspaces(path: Path, jobs: Sequence[FleetJob]) -> None:
    """Refuse jobs that would share a workspace."""
    seen: set[Path] = set()
    for job in jobs:
        folder = Path(job.workspace or ".").resolve()
        if folder in seen:
            raise ConfigError(f"{path}: jobs share the workspace {folder}; give --workspace DIR/{{job_id}}")
        seen.add(folder)


def _summarize(jobs: Sequence[FleetJob], results: Results) -> int:
    """Print a summary to stderr, and return the exit code."""
    done = [results.done[job.job_id] for job in jobs if job.job_id in results.done]
    succeeded = sum(result.success is True for result in done)
    reported = sum(result.success is None for result in done)
    left = len(jobs) - len(done)
    text = f"{len(jobs)} jobs: {succeeded} succeeded, {len(done) - succeeded - reported} did not"
    if reported:
        text += f", {reported} have an outcome that only the orchestrator knows"
    if left:
        text += f", {left} are left; run the same command to continue"
    print_notice(text)
    if left:
        return STOPPED
    return SUCCEEDED if succeeded == len(jobs) else FAILED
