"""`/openapi.json`: a valid document that has each route of the application, and describes what they really answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import openapi_spec_validator
import pytest
import trio

from orchestrator.openapi_checks import DocumentedAnswers
from orchestrator.serving import ADMIN, Orchestrator, orchestrator, pages_of
from support.model import ScriptedModel
from trioworker import WorkerConfig, run_job
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.base import LlmError, LlmRefusedError
from trioworker.orchestrator.backends.factory import NoBackend
from trioworker.orchestrator.openapi import openapi_document
from trioworker.orchestrator.openapi_routes import ROUTES, ApiRoute
from trioworker.orchestrator.store import Store
from trioworker.protocol.values import START_HEADER
from trioworker.protocol.wire import Credential, Prompt, Reply, ToolCall
from trioworker.testing import DONE, call, reply

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from trio.testing import MockClock

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "go"}], "max_tokens": 10}
BODIES: dict[str, Any] = {
    "createJob": {"description": "Fix it."},
    "sendPrompt": {"content": "Go on."},
    "reportStatus": {"state": "in_progress", "message": None, "iteration": 1},
    "addEvent": {"event_type": "status", "data": {"seq": 0, "message": "Iteration 1"}},
    "completeText": ASK,
    "completeWithTools": {**ASK, "tools": [], "tool_choice": "auto"},
    "reportEnd": {"success": True, "message": "done", "iterations": 1},
}
REPLY = Reply(
    content="I look.",
    tool_calls=(ToolCall(id="call_1", name="shell", arguments={"command": "ls"}, reasoning=msgspec.Raw(b'"why"')),),
    input_tokens=10,
    output_tokens=2,
    finish_reason="tool_use",
)
POSTS = [route for route in ROUTES if route.body is not None]
OF_WORKERS = [route for route in ROUTES if route.access == "job token"]
MODEL = [route for route in ROUTES if 502 in route.answers]


class Caller:
    """Sends requests to routes of the table, each for a job of its own."""

    def __init__(self, server: Orchestrator) -> None:
        self._server = server

    async def send(
        self, route: ApiRoute, *, headers: dict[str, Any] | None = None, body: object = None, **job: Any
    ) -> httpx.Response:
        """Send a request that succeeds, unless it is changed by `headers` or `body`."""
        created = self._server.store.create_job("Fix it.", title="Fix", **job)
        self._server.store.add_prompt(created.id, Prompt(content="Go on."))
        if route.operation == "followEvents":
            # Otherwise the stream would wait for the job's end.
            self._server.store.cancel(created.id, "stopped by hand")
        return await self.send_for(created.id, created.token, route, headers=headers, body=body)

    async def send_for(
        self, job_id: str, token: str, route: ApiRoute, *, headers: dict[str, Any] | None = None, body: object = None
    ) -> httpx.Response:
        """Send a request for a job."""
        sent: dict[str, Any] = {"secret": ADMIN, "job token": {"Authorization": f"Bearer {token}"}}.get(
            route.access, {}
        )
        content = None
        if route.body is not None:
            content = msgspec.json.encode(BODIES[route.operation]) if body is None else body
            sent = {**sent, "Content-Type": "application/json"}
        request = self._server.client.build_request(
            route.method,
            route.path.replace("{job_id}", job_id),
            content=content,  # pyright: ignore[reportArgumentType] - bytes, or an iterator of them
            headers={**sent, **(headers or {})},
        )
        if route.access in {"this machine", "anyone"}:
            del request.headers["Authorization"]
        return await self._server.client.send(request)


def document() -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(openapi_document()))


def test_document_is_valid_openapi() -> None:
    openapi_spec_validator.validate(document())


def test_document_has_exactly_the_routes_of_the_application() -> None:
    with Store() as store:
        routes: list[Any] = list(make_app(store, NoBackend(), pages_of(store)).routes)
    served = {(method, route.path) for route in routes for method in route.methods - {"HEAD"}}
    of_page = {(method, path) for method, path in served if path == "/" or path.startswith("/web/")}
    described = {(method.upper(), path) for path, item in document()["paths"].items() for method in item}
    assert described == served - of_page


def test_without_pages_there_is_no_document() -> None:
    with Store() as store:
        routes: list[Any] = list(make_app(store, NoBackend()).routes)
    assert "/openapi.json" not in {route.path for route in routes}


async def test_document_needs_no_secret_but_refuses_foreign_pages() -> None:
    async with orchestrator() as server, httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        assert (await client.get("/openapi.json")).json() == document()
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            assert (await client.get("/openapi.json", headers=headers)).status_code == 403


async def test_each_route_answers_as_documented() -> None:
    answers = DocumentedAnswers(document())
    async with orchestrator(ScriptedModel(REPLY)) as server:
        server.client.event_hooks = {"response": [answers.check]}
        caller = Caller(server)
        for route in ROUTES:
            await caller.send(route, credentials=[Credential(env_var="KEY", value="secret")])
            await errors_of(caller, route)
        await answers_without_content(server, caller)
        for route in OF_WORKERS:
            await superseded(server, caller, route)
        server.store.__exit__()
        for route in ROUTES:
            job_id = "00000000-0000-4000-8000-000000000000"
            await caller.send_for(job_id, "token", route)
    for error in (LlmError("the model is busy"), LlmRefusedError("too long", "context_length")):
        async with orchestrator(ScriptedModel(error)) as server:
            server.client.event_hooks = {"response": [answers.check]}
            for route in MODEL:
                await Caller(server).send(route)
    slow = {(route.operation, 408) for route in POSTS}
    assert answers.statuses() - answers.seen == slow


async def errors_of(caller: Caller, route: ApiRoute) -> None:
    """Errors of a request that is malformed, unauthorized, or for an unknown job."""
    await caller.send(route, headers={"X-Odd": b"\xff"})
    unauthorized = await caller.send(route, headers={"Authorization": "Bearer wrong"})
    assert (unauthorized.status_code == 401) == (route.access in {"secret", "job token"})
    if 403 in route.errors:
        await caller.send(route, headers={"Origin": "https://evil.example"})
    if "{job_id}" in route.path:
        unknown = await caller.send_for("00000000-0000-4000-8000-000000000000", "token", route)
        assert unknown.status_code == 404
    if route.body is not None:
        await caller.send(route, headers={"Content-Encoding": "gzip"})
        await caller.send(route, body=b"{")
        await caller.send(route, body=b"[]")
        await caller.send(route, body=b" " * 2_097_153)


async def answers_without_content(server: Orchestrator, caller: Caller) -> None:
    """No prompt waits, no credential is granted, and a job that has ended takes no prompt."""
    routes = {route.operation: route for route in ROUTES}
    job = server.store.create_job("Fix it.", title="Fix")
    for operation in ("fetchPrompt", "fetchCredentials", "reportEnd"):
        await caller.send_for(job.id, job.token, routes[operation])
    assert (await caller.send_for(job.id, job.token, routes["sendPrompt"])).status_code == 409
    assert (await caller.send_for(job.id, job.token, routes["getJob"])).status_code == 200


async def superseded(server: Orchestrator, caller: Caller, route: ApiRoute) -> None:
    job = server.store.create_job("Fix it.", title="Fix")
    for start in ("1" * 32, "2" * 32):
        server.store.starts.ask(job.id, start)
    answer = await caller.send_for(job.id, job.token, route, headers={START_HEADER: "1" * 32})
    assert answer.status_code == 409


async def test_a_body_that_does_not_arrive_is_answered_as_documented(autojump_clock: MockClock) -> None:
    answers = DocumentedAnswers(document())
    with Store() as store:
        transport = httpx.ASGITransport(make_app(store, NoBackend(), pages_of(store)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=ADMIN) as client:
            client.event_hooks = {"response": [answers.check]}
            for route in POSTS:
                await Caller(Orchestrator(store, "", client)).send(route, body=endless())
    assert answers.seen == {(route.operation, 408) for route in POSTS}


async def endless() -> AsyncGenerator[bytes]:
    yield b"{"
    await trio.sleep_forever()


@pytest.mark.parametrize("failed", [False, True])
async def test_events_of_a_worker_are_as_documented(workspace: Path, failed: bool) -> None:
    turns = [
        call("shell", command="seq 2000; exit 3"),
        reply(call("write_file", path="a.txt", content="one\n"), call("read_file", path="missing")),
        *([] if failed else [DONE]),
    ]
    answers = DocumentedAnswers(document())
    async with orchestrator(ScriptedModel(turns)) as server:
        job = server.store.create_job("Fix it.", title="Fix")
        server.store.add_prompt(job.id, Prompt(content="And tell me."))
        outcome = await run_job(
            WorkerConfig(job_id=job.id, token=job.token, orchestrator_url=server.url, workspace=workspace)
        )
        assert outcome.success != failed
        server.client.event_hooks = {"response": [answers.check]}
        await server.client.get(f"/jobs/{job.id}/events")
        stored = server.store.events(job.id, 0)
    assert {event.event_type for event in stored} == {"message", "tool_use", "tool_result", "result", "status"}
    fields = {name for event in stored for name in event.data}
    assert {"exit_code", "tail", "diff", "metrics", "seq", "tool_call_id"} <= fields
