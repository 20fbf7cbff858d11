"""A proxy on real sockets that injects faults at random, by a seed, and records the requests."""

from __future__ import annotations

import random
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import urlsplit

import trio

from support.http_messages import HttpMessage, HttpMessages, IncompleteMessageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

HOST = "127.0.0.1"
STALL = 0.25
"""Seconds of a stall: a job in these tests takes a few of them."""
OUTAGE = 0.4
"""Seconds for which connections are refused: longer than the first pauses between two attempts."""

ProxyFault = Literal["reset-before", "reset-after", "cut", "stall-before", "stall-within", "outage"]
"""What can happen to a request: its connection is reset before it is forwarded, or after it was handled; its response
is cut off; it is forwarded late, or its response comes in two pieces; or the proxy closes every connection and refuses
new ones for a while.
"""
Stage = Literal["arrived", "answered"]
"""A request arrived, and was not forwarded yet; the orchestrator answered it, and the worker hasn't received it yet."""


@dataclass
class ProxiedRequest:
    """A request and its fault; `status` is the orchestrator's, None if it never answered."""

    path: str
    body: bytes
    fault: ProxyFault | None
    status: int | None = None


@dataclass
class FaultProxy:
    """A proxy for the orchestrator at `upstream` that injects a fault into a `fault_rate` of all requests.

    Without `keep_alive`, it closes each connection after one response, without saying so in the headers. `watch` is
    called with each request at each stage, before anything else happens to it.
    """

    upstream: str
    seed: int = 0
    fault_rate: float = 0.0
    keep_alive: bool = True
    url: str = ""
    connections: int = 0
    requests: list[ProxiedRequest] = field(default_factory=list[ProxiedRequest])
    watch: Callable[[ProxiedRequest, Stage], None] = lambda _request, _stage: None

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._upstream_port = urlsplit(self.upstream).port or 80
        self._listening = trio.CancelScope()

    @property
    def fault_count(self) -> int:
        """The number of requests with a fault."""
        return sum(request.fault is not None for request in self.requests)

    def to(self, path: str) -> list[ProxiedRequest]:
        """The requests to one path, `event` and not `/worker/ID/event`."""
        return [request for request in self.requests if request.path == path]

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve, except during outages."""
        with _reserved_port() as reserved:
            port: int = reserved.getsockname()[1]
            self.url = f"http://{HOST}:{port}"
            while True:
                self._listening = trio.CancelScope()
                with self._listening:
                    async with trio.open_nursery() as nursery:
                        await nursery.start(partial(trio.serve_tcp, self._serve, port, host=HOST))
                        task_status.started()
                        task_status = trio.TASK_STATUS_IGNORED
                await trio.sleep(OUTAGE)

    async def _serve(self, client: trio.SocketStream) -> None:
        self.connections += 1
        messages = HttpMessages(client)
        try:
            while (request := await messages.next()) and await self._forward(request, client) and self.keep_alive:
                pass
        except (trio.BrokenResourceError, IncompleteMessageError):
            # One end closed the connection early; the other one notices when this connection is closed.
            return

    async def _forward(self, request: HttpMessage, client: trio.SocketStream) -> bool:
        """Forward one request and its response. Whether the connection can be used again."""
        proxied = ProxiedRequest(request.path, request.body, self._draw_fault())
        self.requests.append(proxied)
        self.watch(proxied, "arrived")
        match proxied.fault:
            case "reset-before":
                return _reset(client)
            case "outage":
                self._listening.cancel()
            case "stall-before":
                await trio.sleep(STALL)
            case _:
                pass
        response = await self._response_to(request)
        proxied.status = response.status
        self.watch(proxied, "answered")
        match proxied.fault:
            case "reset-after":
                return _reset(client)
            case "cut":
                await client.send_all(response.raw[:-1])
                return False
            case "stall-within":
                await client.send_all(response.raw[:-1])
                await trio.sleep(STALL)
                await client.send_all(response.raw[-1:])
            case _:
                await client.send_all(response.raw)
        return True

    def _draw_fault(self) -> ProxyFault | None:
        if self._random.random() >= self.fault_rate:
            return None
        return self._random.choice(get_args(ProxyFault))

    async def _response_to(self, request: HttpMessage) -> HttpMessage:
        async with await trio.open_tcp_stream(HOST, self._upstream_port) as server:
            await server.send_all(request.raw)
            response = await HttpMessages(server).next()
        if response is None:
            raise IncompleteMessageError
        return response


@asynccontextmanager
async def fault_proxy(
    upstream: str, *, seed: int = 0, fault_rate: float = 0.0, keep_alive: bool = True
) -> AsyncGenerator[FaultProxy]:
    """The proxy while the block runs."""
    proxy = FaultProxy(upstream, seed, fault_rate, keep_alive)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.serve)
        yield proxy
        nursery.cancel_scope.cancel()


def _reset(stream: trio.SocketStream) -> bool:
    """Have the connection reset when it is closed; it can't be used again."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def _reserved_port() -> socket.socket:
    """A socket that never listens: it keeps the port during an outage, so that connections are refused."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind((HOST, 0))
    return reserved
