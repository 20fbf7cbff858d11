"""`trioworker fleet`: the jobs of a file, an engine that runs them, the results, and the signals that stop it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import httpx
import msgspec
import trio

from trioworker.errors import ConfigError
from trioworker.exits import FAILED, STOPPED, SUCCEEDED
from trioworker.fleet.asking import HttpOracle
from trioworker.fleet.dispatch import Dispatch
from trioworker.fleet.jobs import read_jobs
from trioworker.fleet.results import Results
from trioworker.nurseries import alone
from trioworker.observe.logging import Logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from trioworker.fleet.engine import Engine
    from trioworker.fleet.jobs import FleetJob

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class FleetConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What `trioworker fleet` is told. `cpu` is of one worker, in cores; `memory` in Kubernetes' form."""

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


def run_fleet(config: FleetConfig) -> int:
    """Run the jobs that have no result yet, and return the exit code: 0 all succeeded, 1 not all, 4 stopped.

    Raises:
        ConfigError: the jobs, the results or the engine is unusable.
    """
    # What is in the log comes from here: no token is ever handed to it.
    Logs("info", "text", lambda text: text)
    jobs = read_jobs(config.jobs, orchestrator_url=config.orchestrator_url, workspace=config.workspace)
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
            trio.run(_run, config, left, results)
        return _tell(jobs, results)


async def _run(config: FleetConfig, jobs: Sequence[FleetJob], results: Results) -> None:
    timeout = httpx.Timeout(10.0)
    async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client, _engine(config) as engine:
        dispatch = Dispatch(engine, HttpOracle(client), results, parallel=config.parallel, attempts=config.attempts)
        # Held open until all has ended: given back, a second signal would leave workers without a fleet.
        with trio.open_signal_receiver(*STOP_SIGNALS) as signals, alone():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_stop, signals, dispatch)
                await dispatch.run(jobs)
                nursery.cancel_scope.cancel()


async def _stop(signals: AsyncIterator[int], dispatch: Dispatch) -> None:
    async for _ in signals:
        if not dispatch.stopping.is_set():
            _note("stopping; the workers that run report first")
        dispatch.stop()


def _engine(config: FleetConfig) -> AbstractAsyncContextManager[Engine]:
    match config.engine:
        case "process":
            from trioworker.fleet.process import processes

            return processes(config.logs)
        case "ray":
            from trioworker.fleet.ray import ray_cluster

            return ray_cluster(config.address, config.cpu)
        case "kubernetes":
            from trioworker.fleet.kubernetes import kubernetes_cluster
            from trioworker.fleet.manifests import PodPlan

            if config.image is None:
                raise ConfigError("--image is missing: name the worker's image for --engine kubernetes")
            plan = PodPlan(
                image=config.image,
                namespace=config.namespace,
                cpu=config.cpu,
                memory=config.memory,
                attempts=config.attempts,
            )
            return kubernetes_cluster(plan)


def _check_workspaces(path: Path, jobs: Sequence[FleetJob]) -> None:
    """Refuse jobs that would work in one folder at once."""
    seen: set[Path] = set()
    for job in jobs:
        folder = Path(job.workspace or ".").resolve()
        if folder in seen:
            raise ConfigError(f"{path}: jobs share the workspace {folder}; give --workspace DIR/{{job_id}}")
        seen.add(folder)


def _tell(jobs: Sequence[FleetJob], results: Results) -> int:
    """Write the sum to stderr, and choose the exit code."""
    done = [results.done[job.job_id] for job in jobs if job.job_id in results.done]
    succeeded = sum(result.success is True for result in done)
    reported = sum(result.success is None for result in done)
    left = len(jobs) - len(done)
    text = f"{len(jobs)} jobs: {succeeded} succeeded, {len(done) - succeeded - reported} did not"
    if reported:
        text += f", {reported} ended as their orchestrator alone knows"
    if left:
        text += f", {left} are left; the same command goes on with them"
    _note(text)
    if left:
        return STOPPED
    return SUCCEEDED if succeeded == len(jobs) else FAILED


def _note(text: str) -> None:
    try:
        sys.stderr.write(f"trioworker: {text}\n")
    except OSError:
        return
