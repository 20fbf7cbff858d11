"""`trioworker local`: one job, with the orchestrator in this process and the worker as a child process."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

import trio

from trioworker.errors import ConfigError
from trioworker.local.page_trace import page_trace
from trioworker.local.render import JsonPrinter, PlainPrinter, report_lines, summary
from trioworker.local.stdin_lines import follow_lines
from trioworker.local.worker_process import WorkerProcess
from trioworker.observability.bounded_stream import wait_until_written
from trioworker.observability.notices import print_notice
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.factory import open_backend
from trioworker.orchestrator.server import bind, serve
from trioworker.orchestrator.store import Store
from trioworker.orchestrator.views import title_of
from trioworker.orchestrator.web.pages import LocalWorker, Pages
from trioworker.protocol.wire import Prompt
from trioworker.supervision.stop_signals import open_stop_receiver
from trioworker.worker.state.journal_file import journal_path

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from trioworker.local.config import LocalConfig
    from trioworker.local.render import Printer
    from trioworker.orchestrator.backends.base import Backend

OUTPUT_TIMEOUT = 60.0
"""Seconds after the job's end that its output waits for a reader that pauses, such as a pager."""


def run_local(config: LocalConfig) -> int:
    """Run one job and return the worker's exit code.

    Raises:
        ConfigError: the workspace, the model or the database can't be used.
    """
    if not config.workspace.is_dir():
        raise ConfigError(f"--workspace {config.workspace}: no such directory; use an existing one")
    if not config.text.strip():
        raise ConfigError("the job is empty; describe the task")
    backend = open_backend(config.llm, config.model)
    with Store(config.database) as store, bind("127.0.0.1", 0) as sock:
        return trio.run(_local, config, store, backend, sock)


async def _local(config: LocalConfig, store: Store, backend: Backend, sock: socket.socket) -> int:
    start = trio.current_time()
    workspace = config.workspace.resolve()
    job = store.create_job(config.text, title=config.title or title_of(config.text), project_dir=str(workspace))
    printer = open_printer(json_lines=config.json_lines)
    async with aclosing(backend), trio.open_nursery() as nursery:
        # Open until the worker has shut down: otherwise a second signal would kill us before that.
        with open_stop_receiver() as signals, page_trace(config) as trace:
            pages = Pages(store)
            url: str = await nursery.start(serve, make_app(store, backend, pages), sock)
            if config.web:
                print_notice(f"watch the job at {url}/#{job.id}")
            nursery.start_soon(follow_lines, 0, partial(_add_prompt, store, job.id))
            options = ("--job-id", job.id, "--orchestrator-url", url, "--workspace", str(workspace))
            options = (*options, "--state-dir", str(config.state_dir), *trace.options)
            async with WorkerProcess((*options, *config.worker_options), job.token) as worker:
                pages.local = LocalWorker(job.id, worker.stop, trace.file)
                stop_requested = trio.Event()
                output = trio.CancelScope()
                nursery.start_soon(_stop_on_signal, signals, worker, stop_requested, output)
                async with trio.open_nursery() as printing:
                    printing.start_soon(_print_events, store, job.id, printer, worker, output)
                    code = await worker.wait()
                    # If the worker didn't report, end the job, and with it the printing.
                    store.abandon(job.id, f"the worker ended with exit code {code} and no report")
                    output.deadline = trio.current_time() + OUTPUT_TIMEOUT
            # The job has ended and can't be resumed.
            journal_path(config.state_dir, job.id).unlink(missing_ok=True)
            _show_end(config, store, job.id, printer, trio.current_time() - start)
            if config.web and not stop_requested.is_set():
                print_notice(f"the page remains at {url}/#{job.id}; press Ctrl-C to exit")
                await stop_requested.wait()
        nursery.cancel_scope.cancel()
    return code


def _show_end(config: LocalConfig, store: Store, job_id: str, printer: Printer, seconds: float) -> None:
    view = store.view(job_id)
    if view is not None:
        sys.stdout.write(printer.end(view, seconds))
        if config.json_lines:
            print_notice("\n".join([summary(view, seconds), *report_lines(view)]))


async def _print_events(
    store: Store, job_id: str, printer: Printer, worker: WorkerProcess, output: trio.CancelScope
) -> None:
    """Print the job's events until it ends or `output` is cancelled. If standard output is closed, stop the job."""
    after = 0
    with output:
        while events := await store.next_events(job_id, after):
            text = "".join(printer.show(event) for event in events)
            after = events[-1].number
            try:
                # In a thread: a slow reader, such as a pager, must not block the orchestrator.
                await trio.to_thread.run_sync(_write_out, text, abandon_on_cancel=True)
            except OSError:
                worker.stop()
                return


async def _stop_on_signal(
    signals: AsyncIterator[int], worker: WorkerProcess, stop_requested: trio.Event, output: trio.CancelScope
) -> None:
    """Stop the worker on the first signal, so that it reports the job; kill it on the second.

    Once the worker has ended, a signal ends the wait for a reader of the output.
    """
    async for _ in signals:
        if worker.ended:
            output.cancel()
        elif stop_requested.is_set():
            worker.kill()
        else:
            print_notice("stopping; press Ctrl-C again to kill")
            worker.stop()
        stop_requested.set()


def _add_prompt(store: Store, job_id: str, line: str) -> None:
    if not store.add_prompt(job_id, Prompt(content=line)):
        print_notice("the job has ended; the line was not delivered")


def open_printer(*, json_lines: bool) -> Printer:
    """The printer for the options and the terminal: JSON, in colour on a terminal, or plain lines."""
    if json_lines:
        return JsonPrinter()
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from trioworker.local.render_rich import RichPrinter

        return RichPrinter(shutil.get_terminal_size().columns)
    return PlainPrinter()


def _write_out(text: str) -> None:
    sys.stdout.write(text)
    wait_until_written(sys.stdout)
