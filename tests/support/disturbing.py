"""A proxy on real sockets that disturbs requests as a seed has it, and writes down what it carried."""

from __future__ import annotations

import random
import re
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import urlsplit

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

HOST = "127.0.0.1"
STALL = 0.25
"""Seconds of a stall: a job in these tests takes a few of them."""
ABSENCE = 0.4
"""Seconds for which nobody listens: longer than the first pauses between two attempts."""
READ_BYTES = 64 * 1024

Manner = Literal["reset-before", "reset-after", "cut", "stall-before", "stall-within", "away"]
"""What can happen to a request: its connection is reset before it is passed on, or after it was handled; its answer is
cut in the middle; it is passed on late, or its answer comes in two pieces; or the proxy goes away, with every
connection, and comes back.
"""
Stage = Literal["arrived", "answered"]
"""A request came, and was not passed on yet; the orchestrator answered it, and the worker does not know yet."""


@dataclass
class Carried:
    """A request and what became of it; `status` is the orchestrator's, None if it never answered."""

    path: str
    body: bytes
    manner: Manner | None
    status: int | None = None


@dataclass
class DisturbingProxy:
    """Stands before the orchestrator at `upstream`, and disturbs a `share` of all requests.

    `watch` is told of each request at each stage, before anything else happens to it.
    """

    upstream: str
    seed: int = 0
    share: float = 0.0
    url: str = ""
    carried: list[Carried] = field(default_factory=list[Carried])
    watch: Callable[[Carried, Stage], None] = lambda _request, _stage: None

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._upstream_port = urlsplit(self.upstream).port or 80
        self._presence = trio.CancelScope()

    @property
    def disturbed(self) -> int:
        """Requests that something happened to."""
        return sum(request.manner is not None for request in self.carried)

    def to(self, path: str) -> list[Carried]:
        """The requests to one path, `event` and not `/worker/ID/event`."""
        return [request for request in self.carried if request.path == path]

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Be there, but for the absences."""
        with _reserved_port() as reserve:
            port: int = reserve.getsockname()[1]
            self.url = f"http://{HOST}:{port}"
            while True:
                self._presence = trio.CancelScope()
                with self._presence:
                    async with trio.open_nursery() as nursery:
                        await nursery.start(partial(trio.serve_tcp, self._serve, port, host=HOST))
                        task_status.started()
                        task_status = trio.TASK_STATUS_IGNORED
                await trio.sleep(ABSENCE)

    async def _serve(self, client: trio.SocketStream) -> None:
        messages = _Messages(client)
        try:
            while (request := await messages.next()) and await self._carry(request, client):
                pass
        except (trio.BrokenResourceError, _EndedEarly):
            # Either end died in the middle; the other one learns it by the end of its connection.
            return

    async def _carry(self, request: _Message, client: trio.SocketStream) -> bool:
        """One request there and its answer back. Whether the connection may be used on."""
        carried = Carried(request.path, request.body, self._choose())
        self.carried.append(carried)
        self.watch(carried, "arrived")
        match carried.manner:
            case "reset-before":
                return _reset(client)
            case "away":
                self._presence.cancel()
            case "stall-before":
                await trio.sleep(STALL)
            case _:
                pass
        answer = await self._passed_on(request)
        carried.status = answer.status
        self.watch(carried, "answered")
        match carried.manner:
            case "reset-after":
                return _reset(client)
            case "cut":
                await client.send_all(answer.raw[:-1])
                return False
            case "stall-within":
                await client.send_all(answer.raw[:-1])
                await trio.sleep(STALL)
                await client.send_all(answer.raw[-1:])
            case _:
                await client.send_all(answer.raw)
        return True

    def _choose(self) -> Manner | None:
        if self._random.random() >= self.share:
            return None
        return self._random.choice(get_args(Manner))

    async def _passed_on(self, request: _Message) -> _Message:
        async with await trio.open_tcp_stream(HOST, self._upstream_port) as server:
            await server.send_all(request.raw)
            answer = await _Messages(server).next()
        if answer is None:
            raise _EndedEarly
        return answer


@asynccontextmanager
async def disturbing_proxy(upstream: str, *, seed: int = 0, share: float = 0.0) -> AsyncGenerator[DisturbingProxy]:
    """The proxy while the block runs."""
    proxy = DisturbingProxy(upstream, seed, share)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.serve)
        yield proxy
        nursery.cancel_scope.cancel()


class _EndedEarly(Exception):  # noqa: N818 - no error of anybody's
    """The connection ended in the middle of a message."""


@dataclass(frozen=True)
class _Message:
    """A request or an answer: its first line, its body, and all of it."""

    line: bytes
    body: bytes
    raw: bytes

    @property
    def path(self) -> str:
        return re.sub(r"^/worker/[^/]+/", "", self.line.split(b" ")[1].decode())

    @property
    def status(self) -> int:
        return int(self.line.split(b" ")[1])


class _Messages:
    """The HTTP/1.1 messages of a stream. All that a worker and its orchestrator say has a length, or no body."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._received = b""

    async def next(self) -> _Message | None:
        """The next one; None at the end of the stream."""
        while (message := self._whole()) is None:
            data = await self._stream.receive_some(READ_BYTES)
            if not data:
                if self._received:
                    raise _EndedEarly
                return None
            self._received += data
        self._received = self._received[len(message.raw) :]
        return message

    def _whole(self) -> _Message | None:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = int(length[1]) if length else 0
        if not end or len(rest) < size:
            return None
        return _Message(head.split(b"\r\n")[0], rest[:size], head + end + rest[:size])


def _reset(stream: trio.SocketStream) -> bool:
    """Have the connection end in a reset, and not in an orderly end, when it is closed; it can't be used on."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def _reserved_port() -> socket.socket:
    """A socket that never listens: it keeps the port ours while we are away, and connections are refused."""
    reserve = socket.socket()
    reserve.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserve.bind((HOST, 0))
    return reserve
