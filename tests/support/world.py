"""A simulated world for a job: the contract's orchestrator and its model, behind httpx's transport interface.

Everything happens in one process and in virtual time. The world keeps a log of what it was asked and what it answered,
and a test may disturb any request by a fault.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import httpx
import msgspec
import trio

from trioworker.orchestrator.backends.script import ScriptedCall, ScriptError, Turn, answer
from trioworker.protocol import wire
from trioworker.worker.config import WorkerConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

JOB_ID = "00000000-0000-4000-8000-00000000000a"
TOKEN = "-".join(("world", "token", "7f3a9c"))
URL = "http://orchestrator.test:50051"

FaultKind = Literal["refused", "status", "reset-before", "reset-after", "cut", "delay", "garbage"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """How a request is disturbed. `refused` and `reset-before` keep it from the orchestrator; after the others it was
    handled. `status` is answered without handling; `delay` is in seconds, before the answer.
    """

    kind: FaultKind
    status: int = 503
    delay: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(kw_only=True)
class Exchange:
    """A request and how it was answered; `status` is None when no answer went out."""

    method: str
    path: str
    body: Any
    at: float
    status: int | None = None
    handled: bool = False
    fault: Fault | None = None


def calling(*calls: tuple[str, dict[str, Any]], content: str | None = None, **more: Any) -> Turn:
    """A turn that calls tools."""
    return Turn(
        content=content,
        tool_calls=tuple(ScriptedCall(name=name, arguments=arguments) for name, arguments in calls),
        **more,
    )


def saying(content: str | None, **more: Any) -> Turn:
    """A turn of text."""
    return Turn(content=content, **more)


DONE = saying("All of it was done. The job is complete.")


class World(httpx.AsyncBaseTransport):
    """The orchestrator of one job. `latency` and `thinking` are the seconds of a request and of the model."""

    def __init__(
        self,
        turns: Sequence[Turn] = (DONE,),
        *,
        credentials: Sequence[wire.Credential] = (),
        latency: float = 0.0,
        thinking: float = 1.0,
        model: Callable[[Sequence[wire.Message], bool], wire.Reply] | None = None,
    ) -> None:
        self.turns = turns
        self.description = wire.JobDescription(title="Mend the parser", description="Make the tests pass.")
        self.credentials = credentials
        self.latency = latency
        self.thinking = thinking
        self.model = model
        self.exchanges: list[Exchange] = []
        self.prompts: deque[wire.Prompt] = deque()
        self.fault: Callable[[Exchange], Fault | None] = lambda _: None
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
        """The events as people see them: in the order of their first arrival, repeats dropped."""
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
        await trio.sleep(self.latency / 2)
        if kind == "reset-before":
            raise httpx.ReadError("connection reset before it was handled")
        if fault and kind == "status":
            exchange.status = fault.status
            return _response(fault.status, b"disturbed", fault.headers)
        status, content = await self._handle(request, exchange, match[1] if match else "")
        exchange.handled = True
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
        if self.revoked or request.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, b"unauthorized"
        if job_id != JOB_ID:
            return 404, b"no such job"
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
                self._keep_event(exchange.body)
                return 200, b""
            case "POST", "llm/complete" | "llm/complete_with_tools":
                return await self._think(exchange)
            case "POST", "complete":
                self.reports.append(exchange.body)
                self.revoked = True
                self.on_complete()
                return 200, b'{"status":"ok"}'
            case _:
                return 404, b"no such path"

    async def _think(self, exchange: Exchange) -> tuple[int, bytes]:
        messages = msgspec.convert(exchange.body["messages"], list[wire.Message])
        tools = exchange.path == "llm/complete_with_tools"
        await trio.sleep(self.thinking)
        if self.model is not None:
            return 200, msgspec.json.encode(self.model(messages, tools))
        try:
            answered = answer(self.turns, messages, tools=tools)
        except ScriptError as error:
            return 422, str(error).encode()
        await trio.sleep(answered.delay)
        return 200, msgspec.json.encode(answered.reply)

    def _keep_event(self, event: dict[str, Any]) -> None:
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
