"""A simulated orchestrator for one job, with its model, behind httpx's transport interface.

It needs no sockets and uses only trio's clock, so a test with `MockClock` runs a whole job in milliseconds.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import msgspec
import trio

from trioworker.orchestrator.backends.base import LlmRequest
from trioworker.orchestrator.backends.script import ScriptError, answer
from trioworker.protocol import wire
from trioworker.protocol.values import START_HEADER
from trioworker.testing.exchange import Exchange
from trioworker.testing.faults import checked_fault
from trioworker.testing.request_rules import refusal_of_request
from trioworker.testing.script import DONE, checked_turns
from trioworker.worker.config import WorkerConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from trioworker.orchestrator.backends.script import Turn
    from trioworker.testing.faults import Fault

REFUSALS = frozenset({400, 401, 404, 405, 409, 413, 422})
"""The statuses with which the orchestrator refuses requests."""


class SimulatedOrchestrator(httpx.AsyncBaseTransport):
    """The orchestrator of one job: the `transport` of `open_job` and `run_job`.

    It answers according to the contract, simulates the model with a script, and records each request. A request that
    was sent is handled even if the worker has stopped waiting for the answer.

    Args:
        script: the model's replies, made with `call`, `say` and `reply`. The number of the model's replies in the
            conversation decides which one is next, so a repeated request gets the same reply. A job that continues
            after the last reply fails, and its message says so.
        title: the job's title.
        description: the job's text.
        credentials: variables for the environment of tools, with their values.
        latency: the seconds that each request takes, half of them before it is handled.
        thinking: the seconds that the model takes for each reply, in addition to `latency`.
        faults: what goes wrong. A request has the first of these faults that matches its path and number.

    Attributes:
        exchanges: the requests with their answers, in the order in which they arrived, including those that failed.
        reports: the bodies of the reports that were accepted.
        prompts: the follow-ups that the worker hasn't fetched yet.
        revoked: whether the token is revoked, as it is after the report. Set it to False to let another start of the
            worker continue the job.
        fault: a function that chooses the fault of a request, or returns None; it takes precedence over `faults`.

    All arguments are attributes, too, and may be changed at any time.

    Raises:
        TypeError: an item of `script` is not a turn, or one of `faults` is not a fault.
    """

    job_id: ClassVar[str] = "00000000-0000-4000-8000-00000000000a"
    """The job's id."""
    # In two parts, so that a traceback with this line doesn't contain it: tests look for it in logs.
    token: ClassVar[str] = "-".join(("simulated", "token-7f3a9c"))
    """The job's bearer token."""
    url: ClassVar[str] = "http://orchestrator.test:50051"
    """The orchestrator's URL. No request leaves the process."""

    def __init__(
        self,
        script: Sequence[Turn] = (DONE,),
        *,
        title: str = "Fix the parser",
        description: str = "Make the tests pass.",
        credentials: Mapping[str, str] | None = None,
        latency: float = 0.0,
        thinking: float = 1.0,
        faults: Sequence[Fault] = (),
    ) -> None:
        self.script = script
        self.title = title
        self.description = description
        self.credentials = dict(credentials or {})
        self.latency = latency
        self.thinking = thinking
        self.faults = faults
        self.fault: Callable[[Exchange], Fault | None] = lambda _: None
        self.exchanges: list[Exchange] = []
        self.reports: list[dict[str, Any]] = []
        self.prompts: deque[wire.Prompt] = deque()
        self.revoked = False
        self._events: dict[object, dict[str, Any]] = {}
        self._starts: list[str] = []
        self._arrivals = trio.lowlevel.ParkingLot()

    @property
    def script(self) -> tuple[Turn, ...]:
        """The model's replies."""
        return self._script

    @script.setter
    def script(self, turns: Sequence[Turn]) -> None:
        self._script = checked_turns("script", turns)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What goes wrong."""
        return self._faults

    @faults.setter
    def faults(self, faults: Sequence[Fault]) -> None:
        self._faults = tuple(checked_fault(f"faults: item {number},", fault) for number, fault in enumerate(faults, 1))

    def config(self, workspace: Path, **options: Any) -> WorkerConfig:
        """A worker's configuration for this job. `options` are fields of `WorkerConfig`, such as `timeout=60`."""
        return WorkerConfig(
            job_id=self.job_id, token=self.token, orchestrator_url=self.url, workspace=workspace, **options
        )

    def send_prompt(self, content: str, *, done: bool = False) -> None:
        """Add a person's follow-up for the worker to fetch. With `done`, no more will come."""
        self.prompts.append(wire.Prompt(content=content, done=done))

    def supersede(self) -> None:
        """Grant the job to another start of the worker: the current one is refused from now on, and stops.

        Like the embedded orchestrator, it then grants the job to the next start that asks for it.
        """
        self._starts.append("another")

    async def received(self, path: str, count: int = 1) -> Exchange:
        """Wait until `count` requests to `path` have arrived since the beginning, and return the last of them.

        `path` is as for `asked`. There is no time limit: add one with `trio.fail_after`.
        """
        if count < 1:
            raise ValueError(f"received: count {count} is not 1 or more")
        await trio.lowlevel.checkpoint()
        while len(asked := self.asked(path)) < count:
            await self._arrivals.park()
        return asked[count - 1]

    def asked(self, path: str) -> list[Exchange]:
        """The requests to `path` (see `Exchange.path`) so far. `llm` stands for both requests to the model."""
        return [exchange for exchange in self.exchanges if exchange.is_to(path)]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events in the order of their first arrival, without repeats."""
        return list(self._events.values())

    def of_type(self, event_type: str) -> list[dict[str, Any]]:
        """The data of the events of one type, such as `tool_result`."""
        return [event["data"] for event in self.events if event["event_type"] == event_type]

    def conversations(self) -> list[list[dict[str, Any]]]:
        """The messages of each request to the model that was handled."""
        return [exchange.body["messages"] for exchange in self.asked("llm") if exchange.handled]

    async def think(self, exchange: Exchange) -> tuple[int, bytes]:
        """The model's answer to a request, as status and body. Override it to simulate another model."""
        request = msgspec.convert(exchange.body, LlmRequest)
        await trio.sleep(self.thinking)
        try:
            reply, delay = answer(self.script, request.messages, tools=request.tools is not None)
        except ScriptError as error:
            return 422, msgspec.json.encode({"error": {"kind": "rejected", "message": str(error)}})
        await trio.sleep(delay)
        return 200, msgspec.json.encode(reply)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of the worker, unless a fault prevents that. httpx calls it."""
        match = re.fullmatch(r"/worker/([^/]+)/(.+)", request.url.path)
        exchange = Exchange(
            method=request.method,
            path=match[2] if match else request.url.path,
            headers=request.headers,
            content=await request.aread(),
            at=trio.current_time(),
        )
        self.exchanges.append(exchange)
        self._arrivals.unpark_all()
        exchange.fault = fault = self._choose_fault(exchange)
        if fault and fault.kind == "refused":
            await trio.lowlevel.checkpoint()
            raise httpx.ConnectError("connection refused")
        job_id = match[1] if match else None
        try:
            await trio.sleep(self.latency / 2)
        except trio.Cancelled:
            if not (fault and fault.kind in {"reset-before", "status"}):
                self._answer(exchange, job_id)
            raise
        if fault and fault.kind == "reset-before":
            raise httpx.ReadError("connection reset before it was handled")
        if fault and fault.kind == "status":
            exchange.status = fault.code
            return httpx.Response(fault.code, content=fault.body, headers=fault.headers)
        status, content = self._answer(exchange, job_id)
        if exchange.is_for_the_model and status == 200:
            status, content = await self.think(exchange)
            exchange.handled = True
        return await self._send(exchange, status, content)

    async def _send(self, exchange: Exchange, status: int, content: bytes) -> httpx.Response:
        """Send an answer, unless a fault prevents that."""
        fault = exchange.fault
        if fault and fault.kind == "delay":
            await trio.sleep(fault.seconds)
        await trio.sleep(self.latency / 2)
        if fault and fault.kind == "reset-after":
            raise httpx.ReadError("connection reset after it was handled")
        if fault and fault.kind == "cut":
            return httpx.Response(status, stream=_CutStream(content[: len(content) // 2]))
        exchange.status = status
        return httpx.Response(status, content=b"<html>busy</html>" if fault and fault.kind == "garbage" else content)

    def _choose_fault(self, exchange: Exchange) -> Fault | None:
        chosen = self.fault(exchange)
        if chosen is not None:
            return checked_fault("fault: the chosen", chosen)
        return next((fault for fault in self.faults if self._is_due(fault, exchange)), None)

    def _is_due(self, fault: Fault, exchange: Exchange) -> bool:
        if fault.path is not None and not exchange.is_to(fault.path):
            return False
        if fault.request is None:
            return True
        before = len(self.exchanges) if fault.path is None else len(self.asked(fault.path))
        return fault.request == before - 1

    def _answer(self, exchange: Exchange, job_id: str | None) -> tuple[int, bytes]:
        """Handle a request, except for the model's reply. Without `job_id`, the request isn't from a worker."""
        if job_id is None:
            if exchange.path != "/health":
                return 404, b"no such path"
            return (200, b"ok") if exchange.method == "GET" else (405, b"method not allowed")
        status, content = self._refusal(exchange, job_id) or self._handle(exchange)
        exchange.handled = status not in REFUSALS and not exchange.is_for_the_model
        return status, content

    def _refusal(self, exchange: Exchange, job_id: str) -> tuple[int, bytes] | None:
        """The answer to a request that isn't authorized; None if it is."""
        refusal = None
        if job_id != self.job_id:
            refusal = 404, b"no such job"
        elif self.revoked or exchange.headers.get("authorization") != f"Bearer {self.token}":
            refusal = 401, b"unauthorized"
        return self._refusal_of_another_start(exchange, has_access=refusal is None) or refusal

    def _refusal_of_another_start(self, exchange: Exchange, *, has_access: bool) -> tuple[int, bytes] | None:
        """Grant the job to the start that asked last, as the embedded orchestrator does (`orchestrator/starts.py`)."""
        start = exchange.headers.get(START_HEADER)
        if start is None:
            return None
        if has_access and exchange.path == "job" and start not in self._starts:
            self._starts.append(start)
        is_superseded = bool(self._starts) and self._starts[-1] != start
        return (409, b"superseded") if is_superseded and (has_access or start in self._starts) else None

    def _handle(self, exchange: Exchange) -> tuple[int, bytes]:
        refusal = refusal_of_request(exchange)
        if refusal is not None:
            return refusal
        match exchange.path:
            case "job":
                return 200, msgspec.json.encode({"title": self.title, "description": self.description})
            case "credentials":
                granted = [{"env_var": name, "value": value} for name, value in self.credentials.items()]
                return (200, msgspec.json.encode(granted)) if granted else (204, b"")
            case "prompt":
                return (200, msgspec.json.encode(self.prompts.popleft())) if self.prompts else (204, b"")
            case "event":
                # Other workers' events may have no `seq`: such an event is never a repeat.
                key = exchange.body["data"].get("seq", f"event {len(self._events)}")
                self._events.setdefault(key, exchange.body)
            case "complete":
                self.reports.append(exchange.body)
                self.revoked = True
                return 200, b'{"status":"ok"}'
            case _:
                pass
        return 200, b""


class _CutStream(httpx.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content
        raise httpx.RemoteProtocolError("peer closed the connection in the middle of the body")
