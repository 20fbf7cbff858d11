"""`trioworker fleet`: reads the jobs, opens the engine and the results, and runs the scheduler."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from trioworker.errors import ConfigError
from trioworker.fleet.jobs import read_jobs
from trioworker.fleet.management import check_secret_stays_private, open_job_status
from trioworker.fleet.results import Results
from trioworker.fleet.session import is_finished, run_session, summarize
from trioworker.fleet.stopping import Stop
from trioworker.linux.syscalls import forbid_inspection
from trioworker.observability.logging import Logs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from trioworker.fleet.config import FleetConfig
    from trioworker.fleet.display import Observer
    from trioworker.fleet.engine import Engine
    from trioworker.fleet.jobs import FleetJob


def run_fleet(config: FleetConfig) -> int:
    """Run the jobs or tasks that have no result, and return the exit code: 0 all succeeded, 1 some didn't, 4 stopped.

    Raises:
        ConfigError: the jobs, the results or the engine is unusable.
    """
    # No redaction: the fleet never logs a token or a worker's output.
    Logs("info", "text", lambda text: text)
    if config.dry_run and (config.engine != "kubernetes" or config.llm is not None):
        raise ConfigError(
            "--dry-run prints the objects of --engine kubernetes; leave it out for another engine or --llm"
        )
    if config.logs is not None and not config.dry_run:
        try:
            config.logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--logs {config.logs}: {error.strerror}; name a folder") from error
    if config.llm is not None:
        from trioworker.fleet.task_run import run_tasks

        return run_tasks(config, config.llm)
    return _run_jobs(config)


def _run_jobs(config: FleetConfig) -> int:
    if config.admin_token is not None:
        check_secret_stays_private(config.orchestrator_url)
    jobs = read_jobs(
        config.jobs,
        orchestrator_url=config.orchestrator_url,
        workspace=config.workspace,
        worker_options=config.worker_options,
    )
    if config.engine == "process":
        _check_workspaces(config.jobs, jobs)
    if config.engine != "kubernetes":
        _refuse_pod_fields(config, jobs)
    if config.dry_run:
        from trioworker.fleet.kubernetes.manifests.dry_run import print_objects

        return print_objects(config, jobs)
    with Results(config.results) as results:
        if is_finished(jobs, results):
            return summarize(jobs, results, {})
        # Commands of the same user must not read the tokens in our memory.
        forbid_inspection()
        return trio.run(_run, config, jobs, results)


async def _run(config: FleetConfig, jobs: Sequence[FleetJob], results: Results) -> int:
    stop = Stop()
    async with open_job_status(config.orchestrator_url, config.admin_token) as job_status:
        return await run_session(
            jobs,
            partial(_engine, config, jobs, stop),
            job_status,
            results,
            stop,
            parallel=config.parallel,
            attempts=config.attempts,
        )


def _engine(
    config: FleetConfig, jobs: Sequence[FleetJob], stop: Stop, observer: Observer
) -> AbstractAsyncContextManager[Engine]:
    match config.engine:
        case "process":
            from trioworker.fleet.process_engine import open_process_engine

            return open_process_engine(config.logs, min(config.parallel, len(jobs)))
        case "ray":
            from trioworker.fleet.ray.engine import open_ray_engine

            return open_ray_engine(config.address, config.cpu, stop.draining, observer)
        case "kubernetes":
            from trioworker.fleet.kubernetes.engine import open_kubernetes_engine
            from trioworker.fleet.kubernetes.manifests.settings import pod_settings

            return open_kubernetes_engine(
                pod_settings(config, jobs),
                kubeconfig=config.kubeconfig,
                context=config.context,
                namespace=config.namespace,
                logs=config.logs,
                observer=observer,
            )


def _check_workspaces(path: Path, jobs: Sequence[FleetJob]) -> None:
    """Refuse jobs that would share a workspace."""
    seen: set[Path] = set()
    for job in jobs:
        folder = Path(job.workspace or ".").resolve()
        if folder in seen:
            raise ConfigError(f"{path}: jobs share the workspace {folder}; give --workspace DIR/{{job_id}}")
        seen.add(folder)


def _refuse_pod_fields(config: FleetConfig, jobs: Sequence[FleetJob]) -> None:
    """Refuse fields of jobs that only Kubernetes supports."""
    for job in jobs:
        if job.image is not None or job.resources:
            name = "resources" if job.image is None else "image"
            raise ConfigError(
                f"{config.jobs}: job {job.job_id} has `{name}`, which is for --engine kubernetes, not {config.engine}; "
                "remove it"
            )
