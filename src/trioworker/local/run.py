"""`trioworker local`: one job, with the orchestrator in this process and a worker as its child."""

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
from trioworker.local.page_trace import watching
from trioworker.local.render import JsonPrinter, PlainPrinter, summary
from trioworker.local.stdin_lines import follow_lines
from trioworker.local.worker_process import WorkerProcess
from trioworker.observability.notices import print_notice
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.factory import open_backend
from trioworker.orchestrator.server import bind, serve
from trioworker.orchestrator.store import Store
from trioworker.orchestrator.views import title_of
from trioworker.orchestrator.web.pages import Local, Pages
from trioworker.protocol.wire import Prompt
from trioworker.worker.state.journal_file import journal_path

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from trioworker.local.config import LocalConfig
    from trioworker.local.render import Printer
    from trioworker.orchestrator.backends.base import Backend

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a stop, and a terminal that was closed: each ends the job, which is reported."""


def run_local(config: LocalConfig) -> int:
    """Run one job from start to end and return the worker's exit code.

    Raises:
        ConfigError: the workspace, the model or the database is unusable.
    """
    if not config.workspace.is_dir():
        raise ConfigError(f"--workspace {config.workspace}: no such folder; name one that is there")
    if not config.text.strip():
        raise ConfigError("the job is empty; say what is to be done")
    backend = open_backend(config.llm, config.model)
    with Store(config.database) as store, bind("127.0.0.1", 0) as sock:
        return trio.run(_local, config, store, backend, sock)


async def _local(config: LocalConfig, store: Store, backend: Backend, sock: socket.socket) -> int:
    began = trio.current_time()
    workspace = config.workspace.resolve()
    job = store.create_job(config.text, title=config.title or title_of(config.text), project_dir=str(workspace))
    printer = open_printer(json_lines=config.json_lines)
    async with aclosing(backend), trio.open_nursery() as nursery:
        # Held open around the worker's farewell: given back, a second signal would end us before it.
        with trio.open_signal_receiver(*STOP_SIGNALS) as signals, watching(config) as trace:
            pages = Pages(store)
            url: str = await nursery.start(serve, make_app(store, backend, pages), sock)
            if config.web:
                print_notice(f"watch the job at {url}/#{job.id}")
            nursery.start_soon(follow_lines, 0, partial(_say, store, job.id))
            options = ("--job-id", job.id, "--orchestrator-url", url, "--workspace", str(workspace))
            options = (*options, "--state-dir", str(config.state_dir), *trace.options)
            async with WorkerProcess((*options, *config.worker_options), job.token) as worker:
                pages.local = Local(job.id, worker.stop, trace.file)
                unwanted = trio.Event()
                nursery.start_soon(_pass_on, signals, worker, unwanted)
                async with trio.open_nursery() as printing:
                    printing.start_soon(_print_events, store, job.id, printer, worker)
                    code = await worker.wait()
                    # Without a report of its own the job still ends, and with it the printing.
                    store.abandon(job.id, f"the worker ended with exit code {code} and no report")
            # The job is over: nobody can resume it any more.
            journal_path(config.state_dir, job.id).unlink(missing_ok=True)
            _show_end(config, store, job.id, printer, trio.current_time() - began)
            if config.web and not unwanted.is_set():
                print_notice(f"the page stays at {url}/#{job.id}; press Ctrl-C to end")
                await unwanted.wait()
        nursery.cancel_scope.cancel()
    return code


def _show_end(config: LocalConfig, store: Store, job_id: str, printer: Printer, seconds: float) -> None:
    view = store.view(job_id)
    if view is not None:
        with suppress(OSError):
            write_out(printer.end(view, seconds))
        if config.json_lines:
            print_notice(summary(view, seconds))


async def _print_events(store: Store, job_id: str, printer: Printer, worker: WorkerProcess) -> None:
    """Print the job's events until it has ended. If nobody reads them any more, nobody wants the job: it is stopped."""
    after = 0
    while events := await store.next_events(job_id, after):
        text = "".join(printer.show(event) for event in events)
        after = events[-1].number
        try:
            # In a thread: a reader that is slow, such as a pager, must not hold up the orchestrator.
            await trio.to_thread.run_sync(write_out, text, abandon_on_cancel=True)
        except OSError:
            _silence()
            worker.stop()
            return


async def _pass_on(signals: AsyncIterator[int], worker: WorkerProcess, unwanted: trio.Event) -> None:
    """Turn the first signal into a stop, which the worker reports, and a second one into its death."""
    await anext(signals)
    unwanted.set()
    if worker.ended:
        return
    print_notice("stopping; once more to kill")
    worker.stop()
    await anext(signals)
    worker.kill()


def _say(store: Store, job_id: str, line: str) -> None:
    if not store.add_prompt(job_id, Prompt(content=line)):
        print_notice("the job has ended; the line was not delivered")


def open_printer(*, json_lines: bool) -> Printer:
    """What shows events: as JSON, in colour on a terminal, or as plain lines."""
    if json_lines:
        return JsonPrinter()
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from trioworker.local.render_rich import RichPrinter

        return RichPrinter(shutil.get_terminal_size().columns)
    return PlainPrinter()


def write_out(text: str) -> None:
    """Write `text` in whatever encoding standard output has."""
    encoding = sys.stdout.encoding
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def _silence() -> None:
    """Let what is left in the buffer go nowhere: Python would fail once more as it flushes at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, 1)
    os.close(nowhere)
