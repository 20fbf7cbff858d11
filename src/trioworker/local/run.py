"""`trioworker local`: one job, with the orchestrator in this process and the worker as a child process."""

from __future__ import annotations

import os
import sqlite3
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

import trio

from trioworker.errors import ConfigError
from trioworker.linux.environment_block import wipe_variables
from trioworker.linux.syscalls import forbid_inspection
from trioworker.local.event_printing import EventPrinting
from trioworker.local.follow_ups import add_prompt
from trioworker.local.job_end import delete_journal, how_to_continue, kept, show_end
from trioworker.local.page_trace import page_trace
from trioworker.local.printers import open_printer
from trioworker.local.stdin_lines import follow_lines
from trioworker.local.stopping import stop_on_signal
from trioworker.local.worker_process import WorkerProcess
from trioworker.observability.notices import print_notice
from trioworker.orchestrator.announcement import print_secret_url
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.api_key import key_variables
from trioworker.orchestrator.backends.factory import open_backend
from trioworker.orchestrator.backends.model_check import check_model
from trioworker.orchestrator.database import DatabaseLockedError, unlocked
from trioworker.orchestrator.management_access import ManagementAccess
from trioworker.orchestrator.server import bind, serve
from trioworker.orchestrator.store import Store
from trioworker.orchestrator.tokens import new_token
from trioworker.orchestrator.views import title_of
from trioworker.orchestrator.web.pages import LocalWorker, Pages
from trioworker.protocol.exit_codes import INTERRUPTED, UNREPORTED
from trioworker.supervision.nurseries import unwrap_single_exception
from trioworker.supervision.stop_signals import open_stop_receiver
from trioworker.worker.state.journal_file import journal_path

if TYPE_CHECKING:
    import socket

    from trioworker.local.config import LocalConfig
    from trioworker.orchestrator.backends.base import Backend
    from trioworker.orchestrator.views import NewJob

OUTPUT_TIMEOUT = 60.0
"""Seconds that the output waits, after the job's end, for a reader that pauses, such as a pager."""
STOPPED_OUTPUT_TIMEOUT = 2.0
"""The same for a job that was stopped."""


def run_local(config: LocalConfig) -> int:
    """Run one job and return the worker's exit code.

    Raises:
        ConfigError: the workspace, the model, its server or the database can't be used.
        OSError: the worker can't be started.
        DatabaseLockedError: another process locks the database while the job is created.
    """
    if not config.workspace.is_dir():
        raise ConfigError(f"--workspace {config.workspace}: no such directory; use an existing one")
    if not config.text.strip():
        raise ConfigError("the job is empty; describe the task")
    backend = open_backend(config.llm, config.model, api_key_variable=config.api_key_variable)
    with Store(config.database) as store, bind("127.0.0.1", 0) as sock, unwrap_single_exception():
        # A command of the job must not read the page's secret or the model server's key in our memory or environment.
        # A command of root can read our environment nevertheless (Linux 6.15: CAP_PERFMON), so the key leaves it.
        wipe_variables(key_variables(config.api_key_variable))
        forbid_inspection()
        return trio.run(_check_and_run, config, store, backend, sock)


async def _check_and_run(config: LocalConfig, store: Store, backend: Backend, sock: socket.socket) -> int:
    async with aclosing(backend):
        # Before the job is created: one that can't have a model must not be left behind.
        if (warning := await check_model(backend)) is not None:
            print_notice(warning)
        return await _local(config, store, backend, sock)


async def _local(config: LocalConfig, store: Store, backend: Backend, sock: socket.socket) -> int:
    title = config.title or title_of(config.text)
    try:
        job = await unlocked(store.create_job, config.text, title=title, project_dir=str(config.workspace.resolve()))
    except sqlite3.Error as error:
        raise ConfigError(f"--database {config.database}: {error}; use another file") from error
    try:
        return await _run_job(config, store, backend, sock, job)
    except BaseExceptionGroup as group:
        failures, others = group.split((sqlite3.Error, DatabaseLockedError))
        if failures is None or others is not None:
            raise
        print_notice(f"{_first(failures)}; the end of job {job.id} is not recorded: {kept(config, job.id)}")
        return UNREPORTED


async def _run_job(config: LocalConfig, store: Store, backend: Backend, sock: socket.socket, job: NewJob) -> int:
    start = trio.current_time()
    workspace = config.workspace.resolve()
    token = new_token()
    pages = Pages(store, ManagementAccess(token)) if config.web else None
    printer = open_printer(json_lines=config.json_lines)
    async with trio.open_nursery() as nursery:
        # Open until the worker has shut down: otherwise a second signal would kill us before that.
        with open_stop_receiver() as signals, page_trace(config) as trace:
            url: str = await nursery.start(serve, make_app(store, backend, pages), sock)
            if config.web:
                print_secret_url("watch the job at", url, token, f"#{job.id}")
            if config.follow_ups or os.isatty(0):
                nursery.start_soon(follow_lines, 0, partial(add_prompt, store, job.id))
            options = ("--job-id", job.id, "--orchestrator-url", url, "--workspace", str(workspace))
            options = (*options, "--state-dir", str(config.state_dir), *trace.options)
            reported = partial(_has_ended, store, job.id)
            async with WorkerProcess((*options, *config.worker_options), job.token, reported) as worker:
                if pages is not None:
                    pages.local = LocalWorker(job.id, worker.stop, trace.file)
                stop_requested = trio.Event()
                events = EventPrinting(store, job.id, printer, on_closed=worker.stop)
                nursery.start_soon(stop_on_signal, signals, worker, stop_requested, events)
                async with trio.open_nursery() as printing:
                    printing.start_soon(events.run)
                    code = await worker.wait()
                    deaths = worker.deaths if worker.died else 0
                    if not deaths:
                        # If the worker didn't report, end the job.
                        text = f"the worker ended with exit code {code} and no report"
                        await unlocked(store.abandon, job.id, text)
                    events.finish(STOPPED_OUTPUT_TIMEOUT if stop_requested.is_set() else OUTPUT_TIMEOUT)
            if deaths:
                print_notice(how_to_continue(config, job.id, deaths, code))
                code = INTERRUPTED
            else:
                delete_journal(journal_path(config.state_dir, job.id))
                show_end(config, store, job.id, printer, trio.current_time() - start)
                if config.web and not stop_requested.is_set():
                    print_notice(f"the page remains at {url}/#{job.id}; press Ctrl-C to exit")
                    await stop_requested.wait()
        nursery.cancel_scope.cancel()
    return code


def _has_ended(store: Store, job_id: str) -> bool:
    view = store.view(job_id)
    return view is None or view.ended is not None


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
