"""`trioworker local`: one job, with the orchestrator in this process and the worker as a child process."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from trioworker.errors import ConfigError
from trioworker.local.page_trace import page_trace
from trioworker.local.render import JsonPrinter, PlainPrinter, report_lines, summary
from trioworker.local.stdin_lines import follow_lines
from trioworker.local.worker_process import WorkerProcess
from trioworker.observability.notices import print_notice
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.factory import open_backend
from trioworker.orchestrator.server import bind, serve
from trioworker.orchestrator.store import Store
from trioworker.orchestrator.views import title_of
from trioworker.orchestrator.web.pages import LocalWorker, Pages
from trioworker.protocol.wire import Prompt
from trioworker.worker.state.journal_file import journal_path

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from trioworker.local.config import LocalConfig
    from trioworker.local.render import Printer
    from trioworker.orchestrator.backends.base import Backend

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, `kill`, and a closed terminal: each stops the job, which is then reported."""


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
        with trio.open_signal_receiver(*STOP_SIGNALS) as signals, page_trace(config) as trace:
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
                nursery.start_soon(_stop_on_signal, signals, worker, stop_requested)
                async with trio.open_nursery() as printing:
                    printing.start_soon(_print_events, store, job.id, printer, worker)
                    code = await worker.wait()
                    # If the worker didn't report, end the job, and with it the printing.
                    store.abandon(job.id, f"the worker ended with exit code {code} and no report")
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
        with suppress(OSError):
            write_out(printer.end(view, seconds))
        if config.json_lines:
            print_notice("\n".join([summary(view, seconds), *report_lines(view)]))


async def _print_events(store: Store, job_id: str, printer: Printer, worker: WorkerProcess) -> None:
    """Print the job's events until it ends. If standard output is closed, stop the job."""
    after = 0
    while events := await store.next_events(job_id, after):
        text = "".join(printer.show(event) for event in events)
        after = events[-1].number
        try:
            # In a thread: a slow reader, such as a pager, must not block the orchestrator.
            await trio.to_thread.run_sync(write_out, text, abandon_on_cancel=True)
        except OSError:
            _redirect_stdout_to_devnull()
            worker.stop()
            return


async def _stop_on_signal(signals: AsyncIterator[int], worker: WorkerProcess, stop_requested: trio.Event) -> None:
    """Stop the worker on the first signal, so that it reports the job; kill it on the second."""
    await anext(signals)
    stop_requested.set()
    if worker.ended:
        return
    print_notice("stopping; press Ctrl-C again to kill")
    worker.stop()
    await anext(signals)
    worker.kill()


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


def write_out(text: str) -> None:
    """Write `text` to standard output; characters that its encoding lacks are replaced."""
    encoding = sys.stdout.encoding
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def _redirect_stdout_to_devnull() -> None:
    """Discard what is left in the buffer: Python flushes it at exit and would fail again."""
    devnull = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(devnull, 1)
    os.close(devnull)
