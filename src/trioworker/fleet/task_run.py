"""`trioworker fleet TASKS --llm SPEC`: tasks on this machine, with an orchestrator in this process."""

from __future__ import annotations

import time
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING

import trio

from trioworker.errors import ConfigError
from trioworker.fleet.fleet_ids import fleet_id, forget_fleet, task_job_id
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.lines import stem
from trioworker.fleet.process_engine import open_process_engine
from trioworker.fleet.results import Results
from trioworker.fleet.session import is_finished, run_session, summarize
from trioworker.fleet.stopping import Stop
from trioworker.fleet.task_engine import TaskEngine
from trioworker.fleet.tasks import read_tasks
from trioworker.fleet.workspaces import folder_name
from trioworker.observability.notices import print_notice
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.api_key import hide_secrets
from trioworker.orchestrator.backends.factory import open_backend
from trioworker.orchestrator.backends.model_check import check_model
from trioworker.orchestrator.expiry import remove_expired
from trioworker.orchestrator.server import bind, serve
from trioworker.orchestrator.state_files import database_path, make_state_dir
from trioworker.orchestrator.store import Store
from trioworker.supervision.nurseries import unwrap_single_exception
from trioworker.worker.child_process import RELEASE_SIGNAL
from trioworker.worker.state.journal_file import check_state_dir

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trioworker.fleet.config import FleetConfig
    from trioworker.fleet.tasks import Task
    from trioworker.orchestrator.backends.base import Backend


def run_tasks(config: FleetConfig, llm: str) -> int:
    """Run the tasks that have no result, and return the exit code: 0 all succeeded, 1 some didn't, 4 stopped.

    Raises:
        ConfigError: the tasks, the model, its server, the state folder or the results are unusable.
    """
    if config.engine != "process":
        raise ConfigError(
            f"--llm is for --engine process: start an orchestrator that the nodes of {config.engine} reach, and give "
            "its jobs without --llm"
        )
    if config.workspace is not None:
        raise ConfigError("--workspace is for jobs of an orchestrator; a task has `workspace` or `workspace_from`")
    tasks = read_tasks(config.jobs, worker_options=config.worker_options)
    root = workspaces_root(config)
    for folder in {root, *(task.workspace for task in tasks if task.workspace is not None)}:
        check_state_dir(config.state_dir, folder)
    backend = open_backend(llm, config.model, api_key_variable=config.api_key_variable)
    hide_secrets(config.api_key_variable)
    if config.results.exists():
        with Results(config.results) as results:
            jobs = _plan(tasks, results.fleet, root) if results.fleet else {}
            if jobs and is_finished(list(jobs.values()), results):
                return summarize(list(jobs.values()), results, {})
    with unwrap_single_exception():
        return trio.run(_run_tasks, config, tasks, backend, root)


async def _run_tasks(config: FleetConfig, tasks: Sequence[Task], backend: Backend, root: Path) -> int:
    async with aclosing(backend):
        # Before anything is created: each task needs the model.
        if (warning := await check_model(backend)) is not None:
            print_notice(warning)
        make_state_dir(config.state_dir)
        database = database_path(config.state_dir)
        if not config.results.exists():
            forget_fleet(database, config.results)
        with (
            Results(config.results) as results,
            Store(database, option="--state-dir") as store,
            bind("127.0.0.1", 0) as sock,
        ):
            remove_expired(store, config.state_dir, time.time())
            jobs = _plan(tasks, fleet_id(database, config.results, results.fleet), root)
            by_id = {job.job_id: task for task, job in jobs.items()}
            stop = Stop()
            async with trio.open_nursery() as nursery:
                url: str = await nursery.start(serve, make_app(store, backend), sock)
                # Without their orchestrator, workers can't report a stop, and would not be resumed after one.
                async with open_process_engine(
                    config.logs, min(config.parallel, len(jobs)), RELEASE_SIGNAL
                ) as processes:
                    engine = TaskEngine(processes, store, by_id, stop, url=url, state_dir=config.state_dir, root=root)
                    code = await run_session(
                        list(jobs.values()),
                        lambda _: nullcontext(engine),
                        engine,
                        results,
                        stop,
                        parallel=config.parallel,
                        attempts=config.attempts,
                        finish=engine.finish,
                    )
                nursery.cancel_scope.cancel()
            return code


def workspaces_root(config: FleetConfig) -> Path:
    """The folder of the workspaces that are made for tasks: beside the results."""
    name = stem(config.results).removesuffix(".results")
    return config.results.resolve().with_name(f"{name}.workspaces")


def _plan(tasks: Sequence[Task], fleet: str, root: Path) -> dict[Task, FleetJob]:
    """The job of each task, without what is known only when it starts: its token and the orchestrator's URL."""
    jobs: dict[Task, FleetJob] = {}
    for task in tasks:
        job_id = task_job_id(fleet, task.key)
        workspace = task.workspace or root / folder_name(task.title, job_id)
        jobs[task] = FleetJob(
            job_id=job_id,
            token="",
            orchestrator_url="",
            workspace=str(workspace.resolve()),
            worker_options=task.worker_options,
            title=task.title,
            fleet=fleet,
        )
    return jobs
