"""A simulated orchestrator for one job, with its model, behind httpx's transport interface.

Everything happens in one process and in virtual time. The world records each request with its answer, and a test may
inject a fault into any request.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import trio

from trioworker.orchestrator.backends.base import LlmRequest
from trioworker.orchestrator.backends.script import ScriptError, answer
from trioworker.protocol import wire
from trioworker.testing.script import DONE
from trioworker.worker.config import WorkerConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from trioworker.orchestrator.backends.script import Turn
    from trioworker.testing.faults import Fault

JOB_ID = "00000000-0000-4000-8000-00000000000a"
TOKEN = "-".join(("world", "token", "7f3a9c"))
URL = "http://orchestrator.test:50051"

REFUSALS = frozenset({401, 404, 409})
"""What the orchestrator answers to a request that it doesn't handle."""


@dataclass(kw_only=True)
class Exchange:
    """A request and its answer; `status` is None when no answer was sent."""

    method: str
    path: str
    body: Any
    at: float
    status: int | None = None
    handled: bool = False
    fault: Fault | None = None

    @property
    def is_for_the_model(self) -> bool:
        """Whether it asks the model for a reply."""
        return self.path.startswith("llm/")


class SimulatedOrchestrator(httpx.AsyncBaseTransport):
    """The orchestrator of one job.

    Attributes:
        latency: the seconds that a request is under way, half of them before it is handled.
        thinking: the seconds that the model takes for a reply.
        script: the model's replies, one after another.
        exchanges: the requests, in the order in which they came.
        prompts: follow-ups to hand out.
        fault: chooses what goes wrong with a request.
        handles_abandoned: handle a request that was sent, also when the client has left before.
        on_complete: called when the report was accepted, before the answer.
        reports: the reports that were accepted.
        revoked: whether the token is revoked, as it is after the report.
    """

    def __init__(
        self,
        script: Sequence[Turn] = (DONE,),
        *,
        credentials: Sequence[wire.Credential] = (),
        latency: float = 0.0,
        thinking: float = 1.0,
    ) -> None:
        self.description = wire.JobDescription(title="Fix the parser", description="Make the tests pass.")
        self.credentials = credentials
        self.latency = latency
        self.thinking = thinking
        self.script = script
        self.exchanges: list[Exchange] = []
        self.prompts: deque[wire.Prompt] = deque()
        self.fault: Callable[[Exchange], Fault | None] = lambda _: None
        self.handles_abandoned = False
        self.on_complete: Callable[[], None] = lambda: None
        self.reports: list[dict[str, Any]] = []
        self.revoked = False
        self._events: dict[int, dict[str, Any]] = {}
        self._event_order: list[int] = []

    def config(self, workspace: Path, **more: Any) -> WorkerConfig:
        """A worker's configuration for this world."""
        return WorkerConfig(job_id=JOB_ID, token=TOKEN, orchestrator_url=URL, workspace=workspace, **more)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events in the order of their first arrival, without repeats."""
        return [self._events[seq] for seq in self._event_order]

    def of_type(self, event_type: str) -> list[dict[str, Any]]:
        """The data of the events of one type."""
        return [event["data"] for event in self.events if event["event_type"] == event_type]

    def asked(self, path: str) -> list[Exchange]:
        """The requests to one path."""
        return [exchange for exchange in self.exchanges if exchange.path == path]

    def conversations(self) -> list[list[dict[str, Any]]]:
        """The messages of each request to the model that was handled."""
        return [x.body["messages"] for x in self.exchanges if x.path.startswith("llm/") and x.handled]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of the worker, unless a fault prevents that."""
        body = await request.aread()
        match = re.fullmatch(r"/worker/([^/]+)/(.+)", request.url.path)
        exchange = Exchange(
            method=request.method,
            path=match[2] if match else request.url.path,
            body=msgspec.json.decode(body) if body else None,
            at=trio.current_time(),
        )
        self.exchanges.append(exchange)
        exchange.fault = fault = self.fault(exchange)
        kind = fault.kind if fault else None
        if kind == "refused":
            await trio.lowlevel.checkpoint()
            raise httpx.ConnectError("connection refused")
        job_id = match[1] if match else ""
        try:
            await trio.sleep(self.latency / 2)
        except trio.Cancelled:
            if self.handles_abandoned and kind not in {"reset-before", "status"} and not exchange.is_for_the_model:
                status, _ = self._answer(request, exchange, job_id)
                exchange.handled = status not in REFUSALS
            raise
        if kind == "reset-before":
            raise httpx.ReadError("connection reset before it was handled")
        if fault and kind == "status":
            exchange.status = fault.status
            return _response(fault.status, b"injected fault", fault.headers)
        status, content = await self._handle(request, exchange, job_id)
        exchange.handled = status not in REFUSALS
        if fault and kind == "delay":
            await trio.sleep(fault.delay)
        await trio.sleep(self.latency / 2)
        if kind == "reset-after":
            raise httpx.ReadError("connection reset after it was handled")
        if kind == "garbage":
            content = b"<html>busy</html>"
        if kind == "cut":
            return httpx.Response(status, stream=_CutStream(content[: len(content) // 2]))
        exchange.status = status
        return _response(status, content)

    async def _handle(self, request: httpx.Request, exchange: Exchange, job_id: str) -> tuple[int, bytes]:
        status, content = self._answer(request, exchange, job_id)
        return await self._think(exchange) if exchange.is_for_the_model and status == 200 else (status, content)

    def refuse(self, request: httpx.Request, job_id: str) -> tuple[int, bytes] | None:
        """The answer to a request that isn't admitted."""
        if self.revoked or request.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, b"unauthorized"
        if job_id != JOB_ID:
            return 404, b"no such job"
        return None

    def _answer(self, request: httpx.Request, exchange: Exchange, job_id: str) -> tuple[int, bytes]:
        """Handle a request, except that the model's reply is still missing."""
        if refusal := self.refuse(request, job_id):
            return refusal
        match exchange.method, exchange.path:
            case "GET", "job":
                return 200, msgspec.json.encode(self.description)
            case "GET", "credentials":
                return (200, msgspec.json.encode(self.credentials)) if self.credentials else (204, b"")
            case "GET", "prompt":
                return (200, msgspec.json.encode(self.prompts.popleft())) if self.prompts else (204, b"")
            case "POST", "status":
                return 200, b""
            case "POST", "event":
                self._add_event(exchange.body)
                return 200, b""
            case "POST", "llm/complete" | "llm/complete_with_tools":
                return 200, b""
            case "POST", "complete":
                self.reports.append(exchange.body)
                self.revoked = True
                self.on_complete()
                return 200, b'{"status":"ok"}'
            case _:
                return 404, b"no such path"

    async def _think(self, exchange: Exchange) -> tuple[int, bytes]:
        request = msgspec.convert(exchange.body, LlmRequest)
        await trio.sleep(self.thinking)
        try:
            reply, delay = answer(self.script, request.messages, tools=request.tools is not None)
        except ScriptError as error:
            return 422, f"script: {error}".encode()
        await trio.sleep(delay)
        return 200, msgspec.json.encode(reply)

    def _add_event(self, event: dict[str, Any]) -> None:
        seq = event["data"]["seq"]
        if seq not in self._events:
            self._events[seq] = event
            self._event_order.append(seq)


class _CutStream(httpx.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content
        raise httpx.RemoteProtocolError("peer closed the connection in the middle of the body")


def _response(status: int, content: bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
    return httpx.Response(status, content=content, headers=headers)
