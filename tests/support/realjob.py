"""A job whose orchestrator runs in the test, on a real socket, and whose worker is a real child process."""

from __future__ import annotations

import os
import secrets
import signal
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import trio

from support.program import PATIENCE, TOKEN_VARIABLE, started, survivors
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.base import LlmRefusedError
from trioworker.orchestrator.backends.script import ScriptError, answer
from trioworker.orchestrator.server import bind, serve
from trioworker.protocol.wire import Credential, Prompt

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from support.program import Ended, Program
    from trioworker.orchestrator.backends.base import LlmRequest
    from trioworker.orchestrator.backends.script import Turn
    from trioworker.orchestrator.store import Store
    from trioworker.orchestrator.views import JobView, Report
    from trioworker.protocol.wire import Message, Reply

    Intervention = Callable[[str, str], Awaitable[Response | None]]

MARK = "TEST_MARK"
"""The credential by which every process of a job's tools is found again."""


class Model:
    """Plays turns and remembers what it was asked. `before_reply` is awaited with the number of the request, from 1."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.turns = turns
        self.asked: list[LlmRequest] = []
        self.broken_off = 0
        self.before_reply: Callable[[int], Awaitable[None]] = _at_once

    async def complete(self, request: LlmRequest, /) -> Reply:
        self.asked.append(request)
        try:
            reply, delay = answer(self.turns, request.messages, tools=request.tools is not None)
        except ScriptError as error:
            raise LlmRefusedError(str(error)) from error
        try:
            await self.before_reply(len(self.asked))
            await trio.sleep(delay)
        except trio.Cancelled:
            self.broken_off += 1
            raise
        return reply

    async def aclose(self) -> None:
        """Nothing to close."""

    def heard(self, role: str) -> list[str]:
        """What the last request holds of one role's messages."""
        messages: tuple[Message, ...] = self.asked[-1].messages
        return [message.content for message in messages if message.role == role]


class Gate:
    """ASGI middleware: notes each request, and lets a test answer in the orchestrator's place."""

    def __init__(self, app: ASGIApp, office: Office) -> None:
        self._app = app
        self._office = office

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            method: str = scope["method"]
            path: str = scope["path"]
            path = path.removeprefix(f"/worker/{path.split('/')[2]}/") if path.startswith("/worker/") else path
            self._office.requests.append((method, path))
            response = await self._office.intervene(method, path)
            if response is not None:
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Office:
    """An orchestrator. `requests` are method and path, `job` and not `/worker/ID/job`; `intervene` may answer one."""

    def __init__(self, store: Store, model: Model) -> None:
        self.store = store
        self.model = model
        self.requests: list[tuple[str, str]] = []
        self.intervene: Intervention = _not_at_all
        self.url = ""
        self._life = trio.CancelScope()

    def close(self) -> None:
        """Go away for good: the port is closed, and every connection."""
        self._life.cancel()

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        app = make_app(self.store, self.model)
        app.add_middleware(Gate, office=self)
        with self._life:
            async with trio.open_nursery() as nursery:
                self.url = await nursery.start(serve, app, bind("127.0.0.1", 0))
                task_status.started()


class RealJob:
    """One job, its worker, and what the orchestrator knows of it."""

    def __init__(self, office: Office, program: Program, job_id: str, token: str, mark: str, workspace: Path) -> None:
        self.office = office
        self.model = office.model
        self.program = program
        self.id = job_id
        self.token = token
        self._mark = mark
        self._workspace = workspace

    async def ended(self) -> Ended:
        """Wait for the worker's end."""
        return await self.program.ended()

    async def until_event(self, event_type: str, count: int = 1) -> None:
        """Wait until the orchestrator has `count` events of a type."""
        after = seen = 0
        with trio.fail_after(PATIENCE):
            while seen < count:
                events = await self.office.store.next_events(self.id, after)
                assert events, f"the job ended without {count} events of type {event_type}"
                after = events[-1].number
                seen += sum(event.event_type == event_type for event in events)

    def say(self, text: str, *, done: bool = False) -> None:
        """A person's follow-up."""
        assert self.office.store.add_prompt(self.id, Prompt(content=text, done=done))

    @property
    def view(self) -> JobView:
        view = self.office.store.view(self.id)
        assert view is not None
        return view

    @property
    def report(self) -> Report:
        """What the worker reported; there is one."""
        report = self.view.report
        assert report is not None, "the job was not reported"
        return report

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        return [(event.event_type, event.data) for event in self.office.store.events(self.id, 0)]

    def of_type(self, event_type: str) -> list[dict[str, Any]]:
        """The data of the events of one type."""
        return [data for kind, data in self.events if kind == event_type]

    def survivors(self) -> dict[int, str]:
        """Processes of the job's tools that are alive."""
        return survivors(self._mark, self._workspace)


@asynccontextmanager
async def office(store: Store, turns: Sequence[Turn] = ()) -> AsyncGenerator[Office]:
    """An orchestrator while the block runs; what it knows is in `store`, also afterwards."""
    async with trio.open_nursery() as nursery:
        place = Office(store, Model(turns))
        await nursery.start(place.serve)
        yield place
        place.close()


@asynccontextmanager
async def working(
    place: Office,
    workspace: Path,
    *options: str,
    granted: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    url: str = "",
) -> AsyncGenerator[RealJob]:
    """A worker on a new job of `place`, reached at `url` if that is not where it listens."""
    mark = secrets.token_hex(16)
    credentials = [Credential(env_var=name, value=value) for name, value in {MARK: mark, **(granted or {})}.items()]
    job = place.store.create_job("Mend the parser.", title="Mend", credentials=credentials)
    at = ("--job-id", job.id, "--orchestrator-url", url or place.url, "--workspace", str(workspace))
    variables = {**(environment or {}), TOKEN_VARIABLE: job.token}
    async with started("worker", *at, *options, environment=variables) as program:
        running = RealJob(place, program, job.id, job.token, mark, workspace)
        try:
            yield running
        finally:
            # Of a test that failed: what it finds alive must not meet the tests that follow.
            for pid in running.survivors():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@asynccontextmanager
async def real_job(
    store: Store, workspace: Path, turns: Sequence[Turn], *options: str, **granted: str
) -> AsyncGenerator[RealJob]:
    """An orchestrator whose model plays `turns`, and a worker on a job of its, granted these credentials."""
    async with office(store, turns) as place, working(place, workspace, *options, granted=granted) as job:
        yield job


async def _at_once(_: int) -> None:
    await trio.lowlevel.checkpoint()


async def _not_at_all(_method: str, _path: str) -> Response | None:
    await trio.lowlevel.checkpoint()
    return None
