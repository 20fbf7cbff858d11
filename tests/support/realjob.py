"""A job whose orchestrator runs in the test, on a real socket, and whose worker is a real child process."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import trio

from support.model import ScriptedModel
from support.program import TOKEN_VARIABLE, WAIT_TIMEOUT, started, survivors
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.server import bind, serve
from trioworker.protocol.wire import Credential, Prompt

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from support.program import Ended, Program
    from trioworker.orchestrator.store import Store
    from trioworker.orchestrator.views import JobView, Report
    from trioworker.testing import Turn

    Intervention = Callable[[str, str], Awaitable[Response | None]]

MARK = "TEST_MARK"
"""The credential by which every process of a job's tools is found again."""


class RequestLog:
    """ASGI middleware: records each request, and lets a test answer in the orchestrator's place."""

    def __init__(self, app: ASGIApp, orchestrator: RealOrchestrator) -> None:
        self._app = app
        self._orchestrator = orchestrator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            method: str = scope["method"]
            path: str = scope["path"]
            path = path.removeprefix(f"/worker/{path.split('/')[2]}/") if path.startswith("/worker/") else path
            self._orchestrator.requests.append((method, path))
            response = await self._orchestrator.intervene(method, path)
            if response is not None:
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


class RealOrchestrator:
    """An orchestrator on a real socket.

    Attributes:
        store: its database.
        model: its scripted model.
        requests: method and path of each request; the path is `job`, not `/worker/ID/job`.
        intervene: called with these, may return a response in place of the orchestrator's.
        url: where it listens.
    """

    def __init__(self, store: Store, turns: Sequence[Turn]) -> None:
        self.store = store
        self.model = ScriptedModel(turns)
        self.requests: list[tuple[str, str]] = []
        self.intervene: Intervention = _no_intervention
        self.url = ""
        self._running = trio.CancelScope()

    def close(self) -> None:
        """Close the port and every connection, for good."""
        self._running.cancel()

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        app = make_app(self.store, self.model)
        app.add_middleware(RequestLog, orchestrator=self)
        with self._running:
            async with trio.open_nursery() as nursery:
                self.url = await nursery.start(serve, app, bind("127.0.0.1", 0))
                task_status.started()


class RealJob:
    """One job: its workers, and what the orchestrator knows of it."""

    def __init__(
        self,
        orchestrator: RealOrchestrator,
        workspace: Path,
        *options: str,
        granted: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        url: str = "",
        prefix: tuple[str, ...] = (),
        python: str = sys.executable,
    ) -> None:
        """`url` is where a worker reaches the orchestrator, if not directly; `options` are those of each worker.

        `prefix` and `python` are those of `started`.
        """
        self.orchestrator = orchestrator
        self.store = orchestrator.store
        self.model = orchestrator.model
        self.workspace = workspace
        self._mark = secrets.token_hex(16)
        values = {MARK: self._mark, **(granted or {})}
        credentials = [Credential(env_var=name, value=value) for name, value in values.items()]
        created = self.store.create_job("Fix the parser.", title="Fix", credentials=credentials)
        self.id, self.token = created.id, created.token
        url = url or orchestrator.url
        self._command = ("worker", "--job-id", self.id, "--orchestrator-url", url, "--workspace", str(workspace))
        self._options = options
        self._prefix, self._python = prefix, python
        self._environment = {**(environment or {}), TOKEN_VARIABLE: self.token}
        self._program: Program | None = None

    @asynccontextmanager
    async def start(self, *options: str) -> AsyncGenerator[Program]:
        """A worker while the block runs; killed when the block is left early. `options` override the job's."""
        command = (*self._command, *self._options, *options)
        async with started(
            *command, environment=self._environment, prefix=self._prefix, python=self._python
        ) as program:
            self._program = program
            yield program

    @property
    def program(self) -> Program:
        """The worker that was started last."""
        assert self._program is not None
        return self._program

    async def ended(self) -> Ended:
        """Wait for the worker's end."""
        return await self.program.ended()

    async def until_event(self, event_type: str, count: int = 1) -> None:
        """Wait until the orchestrator has `count` events of a type."""
        after = seen = 0
        with trio.fail_after(WAIT_TIMEOUT):
            while seen < count:
                events = await self.store.next_events(self.id, after)
                assert events, f"the job ended without {count} events of type {event_type}"
                after = events[-1].number
                seen += sum(event.event_type == event_type for event in events)

    def add_prompt(self, text: str, *, done: bool = False) -> None:
        """A person's follow-up."""
        assert self.store.add_prompt(self.id, Prompt(content=text, done=done))

    @property
    def view(self) -> JobView:
        view = self.store.view(self.id)
        assert view is not None
        return view

    @property
    def report(self) -> Report:
        """The worker's one report."""
        report = self.view.report
        assert report is not None, "the job was not reported"
        return report

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        return [(event.event_type, event.data) for event in self.store.events(self.id, 0)]

    def of_type(self, event_type: str) -> list[dict[str, Any]]:
        """The data of the events of one type."""
        return [data for kind, data in self.events if kind == event_type]

    def survivors(self) -> dict[int, str]:
        """Processes of the job's tools that are alive."""
        return survivors(self._mark, self.workspace)

    def kill_survivors(self) -> None:
        """Clean up after a test that failed, so that its processes don't disturb the tests that follow."""
        for pid in self.survivors():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@asynccontextmanager
async def real_orchestrator(store: Store, turns: Sequence[Turn] = ()) -> AsyncGenerator[RealOrchestrator]:
    """An orchestrator while the block runs, whose model plays `turns` for each of its jobs."""
    async with trio.open_nursery() as nursery:
        orchestrator = RealOrchestrator(store, turns)
        await nursery.start(orchestrator.serve)
        yield orchestrator
        orchestrator.close()


@asynccontextmanager
async def real_worker(
    orchestrator: RealOrchestrator,
    workspace: Path,
    *options: str,
    granted: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    url: str = "",
    prefix: tuple[str, ...] = (),
    python: str = sys.executable,
) -> AsyncGenerator[RealJob]:
    """A worker on a new job; arguments as of `RealJob`."""
    job = RealJob(
        orchestrator,
        workspace,
        *options,
        granted=granted,
        environment=environment,
        url=url,
        prefix=prefix,
        python=python,
    )
    try:
        async with job.start():
            yield job
    finally:
        job.kill_survivors()


@asynccontextmanager
async def real_job(
    store: Store, workspace: Path, turns: Sequence[Turn], *options: str, **granted: str
) -> AsyncGenerator[RealJob]:
    """An orchestrator whose model plays `turns`, and a worker on one job of it, granted these credentials."""
    async with (
        real_orchestrator(store, turns) as orchestrator,
        real_worker(orchestrator, workspace, *options, granted=granted) as job,
    ):
        yield job


async def _no_intervention(_method: str, _path: str) -> Response | None:
    await trio.lowlevel.checkpoint()
    return None
