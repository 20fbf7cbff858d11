"""`trioworker local`: one job, with the orchestrator in this process and the worker as a child process."""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from trioworker.errors import ConfigError
from trioworker.local.activity import Activity
from trioworker.local.event_printing import EventPrinting
from trioworker.local.follow_ups import FollowUps
from trioworker.local.job_end import delete_journal, end_or_keep, show_end, unfinished
from trioworker.local.opening import open_local_job
from trioworker.local.page_trace import page_trace
from trioworker.local.printers import open_printer
from trioworker.local.stopping import stop_on_signal, unless_stopped
from trioworker.local.terminal.opening import is_rich, open_terminal
from trioworker.local.worker_process import WorkerProcess
from trioworker.local.workspace_baseline import find_baseline
from trioworker.local.workspace_changes import changes_since
from trioworker.observability.bounded_stream import wait_until_written
from trioworker.observability.notices import print_notice
from trioworker.orchestrator.announcement import print_secret_url
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.api_key import hide_secrets
from trioworker.orchestrator.backends.factory import open_backend
from trioworker.orchestrator.backends.model_check import check_model
from trioworker.orchestrator.database import DatabaseLockedError, unlocked
from trioworker.orchestrator.expiry import remove_expired
from trioworker.orchestrator.management_access import ManagementAccess
from trioworker.orchestrator.server import bind, serve
from trioworker.orchestrator.state_files import database_path, make_state_dir
from trioworker.orchestrator.store import Store
from trioworker.orchestrator.tokens import new_token
from trioworker.orchestrator.web.pages import LocalWorker, Pages
from trioworker.protocol.exit_codes import STOPPED, UNREPORTED
from trioworker.supervision.nurseries import first_exception, unwrap_single_exception
from trioworker.supervision.stop_signals import open_stop_receiver
from trioworker.worker.state.journal_file import check_state_dir, journal_path

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from trioworker.local.config import LocalConfig
    from trioworker.local.opening import OpenJob
    from trioworker.orchestrator.backends.base import Backend

OUTPUT_TIMEOUT = 60.0
"""Seconds that the output waits, after the job's end, for a reader that pauses, such as a pager."""
STOPPED_OUTPUT_TIMEOUT = 2.0
"""The same for a job that was stopped."""


def run_local(config: LocalConfig) -> int:
    """Run one job and return the worker's exit code.

    Raises:
        ConfigError: the workspace, the model, its server or the state folder can't be used, or no such job can be
            resumed.
        OSError: the worker can't be started.
        DatabaseLockedError: another process locks the database while the job is opened.
    """
    _check(config)
    backend = open_backend(config.llm, config.model, api_key_variable=config.api_key_variable)
    make_state_dir(config.state_dir)
    database = Store(database_path(config.state_dir), option="--state-dir")
    with database as store, bind("127.0.0.1", 0) as sock, unwrap_single_exception():
        hide_secrets(config.api_key_variable)
        return trio.run(_local, config, store, backend, sock)


def _check(config: LocalConfig) -> None:
    if not config.workspace.is_dir():
        raise ConfigError(f"--workspace {config.workspace}: no such directory; use an existing one")
    if config.resume is None:
        check_state_dir(config.state_dir, config.workspace)
        if not config.text.strip():
            raise ConfigError("the job is empty; describe the task")
    elif config.text:
        raise ConfigError("--resume uses the text of the resumed job; leave out TEXT or --resume")
    elif config.new:
        raise ConfigError("--resume continues a job, and --new starts one; leave out one of them")


async def _local(config: LocalConfig, store: Store, backend: Backend, sock: socket.socket) -> int:
    # Open until the worker has shut down: otherwise a second signal would kill us before that.
    async with aclosing(backend):
        with open_stop_receiver() as signals:
            job, stopped = await unless_stopped(signals, partial(_open, config, store, backend))
            if job is None:
                return STOPPED
            with job.lock:
                if stopped:
                    await unlocked(store.cancel, job.id, "stopped before it started")
                    job.lock.ended = True
                    return STOPPED
                remove_expired(store, config.state_dir, time.time())
                try:
                    return await _run_job(config, store, backend, sock, job, signals)
                except BaseExceptionGroup as group:
                    failures, others = group.split((sqlite3.Error, DatabaseLockedError))
                    if failures is None or others is not None:
                        raise
                    error = first_exception(failures)
                    print_notice(f"{error}; the job's end is not recorded: {unfinished(config, job)}")
                    return UNREPORTED


async def _open(config: LocalConfig, store: Store, backend: Backend) -> OpenJob:
    # Before the job is created: one that can't have a model must not be left behind.
    if (warning := await check_model(backend)) is not None:
        print_notice(warning)
    return await open_local_job(config, store)


async def _run_job(
    config: LocalConfig, store: Store, backend: Backend, sock: socket.socket, job: OpenJob, signals: AsyncIterator[int]
) -> int:
    start = trio.current_time()
    token = new_token()
    pages = Pages(store, ManagementAccess(token)) if config.web else None
    printer = open_printer(json_lines=config.json_lines)
    activity = Activity(time.time())
    baseline = await find_baseline(job.workspace) if is_rich() and not config.json_lines else None
    async with trio.open_nursery() as nursery:
        with page_trace(config) as trace:
            url: str = await nursery.start(serve, make_app(store, backend, pages), sock)
            if config.web:
                print_secret_url("watch the job at", url, token, f"#{job.id}")
            follow_ups = FollowUps(store, job.id)
            nursery.start_soon(follow_ups.run)
            options = (*worker_options(config, job, url), *trace.options)
            reported = partial(_has_ended, store, job.id)
            async with (
                open_terminal(
                    activity, follow_ups.add, json_lines=config.json_lines, read_pipe=config.follow_ups
                ) as terminal,
                WorkerProcess(options, job.token, reported, stderr=terminal.worker_stderr) as worker,
            ):
                if pages is not None:
                    pages.local = LocalWorker(job.id, worker.stop, trace.file)
                stop_requested = trio.Event()
                events = EventPrinting(
                    store, job.id, printer, terminal, activity, on_closed=worker.stop, after=job.earlier_events
                )
                nursery.start_soon(stop_on_signal, signals, worker, stop_requested, events, activity)
                async with trio.open_nursery() as printing:
                    printing.start_soon(events.run)
                    code = await worker.wait()
                    code = await end_or_keep(config, store, job, worker, code, stopped=stop_requested.is_set())
                    events.finish(STOPPED_OUTPUT_TIMEOUT if stop_requested.is_set() else OUTPUT_TIMEOUT)
            if job.lock.ended:
                delete_journal(journal_path(config.state_dir, job.id))
                changes = [] if baseline is None else await changes_since(baseline, config.state_dir)
                await show_end(config, store, job.id, printer, trio.current_time() - start, changes)
                if config.web and not stop_requested.is_set():
                    await _until_printed()
                    print_secret_url("until Ctrl-C, the page remains at", url, token, f"#{job.id}")
                    await stop_requested.wait()
        nursery.cancel_scope.cancel()
    return code


async def _until_printed() -> None:
    """Wait until the end is printed, so that later text on standard error follows it; but not long, if nobody reads."""
    with suppress(OSError, RuntimeError), trio.move_on_after(STOPPED_OUTPUT_TIMEOUT):
        await trio.to_thread.run_sync(partial(wait_until_written, sys.stdout), abandon_on_cancel=True)


def worker_options(config: LocalConfig, job: OpenJob, url: str) -> tuple[str, ...]:
    """The options of the worker that runs or resumes the job."""
    options = ("--job-id", job.id, "--orchestrator-url", url, "--workspace", str(job.workspace))
    # The time in which nobody ran the job doesn't count.
    resumed = ("--time-from", f"{time.monotonic():.3f}") if job.resumed else ()
    return (*options, "--state-dir", str(config.state_dir), *resumed, *config.worker_options)


def _has_ended(store: Store, job_id: str) -> bool:
    view = store.view(job_id)
    return view is None or view.ended is not None
