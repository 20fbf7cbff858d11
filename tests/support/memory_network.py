"""An in-memory network below trio's sockets: libraries run their real code, in virtual time, without real sockets."""

from __future__ import annotations

import errno
import itertools
import socket
from collections import deque
from typing import TYPE_CHECKING, Any, Self

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

CAPACITY_BYTES = 64 * 1024
"""What a connection holds in each direction before its sender waits, as a kernel's buffers do."""
Address = tuple[str, int]


class MemoryNetwork(trio.abc.SocketFactory, trio.abc.HostnameResolver):
    """All connections of one run. `open_sockets` are those that nobody has closed."""

    def __init__(self) -> None:
        self.listeners: dict[int, MemorySocket] = {}
        self.sockets: list[MemorySocket] = []
        self._ports = itertools.count(50_000)

    def install(self) -> MemoryNetwork:
        """Make trio use this network until the end of the current `trio.run`."""
        trio.socket.set_custom_socket_factory(self)
        trio.socket.set_custom_hostname_resolver(self)
        return self

    def socket(self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM, proto: int = 0) -> MemorySocket:  # noqa: A002
        """A new socket, as `socket.socket` makes one."""
        return self.add(MemorySocket(self, ("10.0.0.1", next(self._ports))))

    def add(self, made: MemorySocket) -> MemorySocket:
        """Remember a socket."""
        self.sockets.append(made)
        return made

    def listen(self, port: int) -> trio.SocketListener:
        """Accept connections to this port of any host."""
        listening = self.add(MemorySocket(self, ("10.0.0.1", port)))
        listening.listen()
        return trio.SocketListener(listening)

    @property
    def open_sockets(self) -> list[MemorySocket]:
        """The sockets that are not closed."""
        return [each for each in self.sockets if not each.closed]

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Every host has one address."""
        await trio.lowlevel.checkpoint()
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("10.0.0.1", int(port or 0)))]

    async def getnameinfo(self, sockaddr: Address, flags: int) -> Address:  # type: ignore[override]
        """An address is its own name."""
        await trio.lowlevel.checkpoint()
        return sockaddr


class Pipe:
    """One direction of a connection.

    Its checkpoints are those of trio's sockets: what succeeds at once isn't undone by a cancel.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = False
        self.broken = False
        self._changed = trio.lowlevel.ParkingLot()

    async def send(self, data: bytes | memoryview) -> int:
        """Write as much as there is room for, at least one byte; return the number of bytes."""
        await self._wait_until(lambda: len(self.data) < CAPACITY_BYTES or self.broken or self.ended)
        if self.ended:
            raise OSError(errno.EBADF, "closed")
        if self.broken:
            raise BrokenPipeError(errno.EPIPE, "the other end is closed")
        sent = data[: CAPACITY_BYTES - len(self.data)]
        self.data += sent
        self._changed.unpark_all()
        return len(sent)

    async def receive(self, size: int) -> bytes:
        """Read what there is, at most `size` bytes; nothing after the end."""
        await self._wait_until(lambda: self.data or self.ended or self.broken)
        if self.broken:
            raise OSError(errno.EBADF, "closed")
        taken = bytes(self.data[:size])
        del self.data[:size]
        self._changed.unpark_all()
        return taken

    async def _wait_until(self, ready: Callable[[], object]) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        if ready():
            await trio.lowlevel.cancel_shielded_checkpoint()
        while not ready():
            await self._changed.park()

    def end(self) -> None:
        """The sender has closed its end."""
        self.ended = True
        self._changed.unpark_all()

    def abandon(self) -> None:
        """The receiver has closed its end."""
        self.broken = True
        self._changed.unpark_all()


class MemorySocket(trio.socket.SocketType):
    """One end of a connection, or a listener."""

    family = socket.AF_INET  # type: ignore[assignment]
    type = socket.SOCK_STREAM  # type: ignore[assignment]
    proto = 0  # type: ignore[assignment]

    def __init__(self, network: MemoryNetwork, name: Address) -> None:
        self.closed = False
        self._network = network
        self._name = name
        self._peer: Address | None = None
        self._incoming: Pipe | None = None
        self._outgoing: Pipe | None = None
        self._waiting: deque[MemorySocket] = deque()
        self._arrived = trio.lowlevel.ParkingLot()
        self._shut = False

    def __repr__(self) -> str:
        return f"<{self._name[1]} to {self._peer[1]}>" if self._peer else f"<{self._name[1]}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def bind(self, address: Any) -> None:
        await trio.lowlevel.checkpoint()
        self._name = (str(address[0]), int(address[1]))

    def listen(self, backlog: int = 128) -> None:
        self._network.listeners[self._name[1]] = self

    async def connect(self, address: Any) -> None:
        if isinstance(address, (str, bytes)):
            # A Unix socket connects at once: a cancel doesn't undo what has succeeded.
            await trio.lowlevel.checkpoint_if_cancelled()
            await trio.lowlevel.cancel_shielded_checkpoint()
            address = ("", int(address))
        else:
            await trio.lowlevel.checkpoint()
        listener = self._network.listeners.get(address[1])
        if listener is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens")
        there, back = Pipe(), Pipe()
        self._peer, self._outgoing, self._incoming = (address[0], address[1]), there, back
        accepted = MemorySocket(self._network, self._peer)
        accepted._peer, accepted._outgoing, accepted._incoming = self._name, back, there
        listener._waiting.append(accepted)
        listener._arrived.unpark()

    async def accept(self) -> tuple[MemorySocket, Any]:
        await trio.lowlevel.checkpoint()
        while not self._waiting and not self.closed:
            await self._arrived.park()
        if self.closed:
            raise OSError(errno.EBADF, "closed")
        accepted = self._network.add(self._waiting.popleft())
        return accepted, accepted._peer

    async def send(self, data: Any, flags: int = 0) -> int:
        self._check_open()
        assert self._outgoing is not None
        return await self._outgoing.send(data)

    async def recv(self, size: int, flags: int = 0) -> bytes:
        self._check_open()
        assert self._incoming is not None
        return await self._incoming.receive(size)

    def is_readable(self) -> bool:
        return self._incoming is not None and bool(self._incoming.data or self._incoming.ended)

    def shutdown(self, flag: int) -> None:
        self._check_open()
        self._shut = True
        if self._outgoing is not None:
            self._outgoing.end()

    @property
    def did_shutdown_SHUT_WR(self) -> bool:  # noqa: N802
        return self._shut

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self._network.listeners.get(self._name[1]) is self:
            del self._network.listeners[self._name[1]]
            self._arrived.unpark_all()
            for refused in self._waiting:
                refused.close()
        if self._outgoing is not None and self._incoming is not None:
            self._outgoing.end()
            self._incoming.abandon()

    def fileno(self) -> int:
        return -1 if self.closed else 1

    def getsockname(self) -> Any:
        return self._name

    def getpeername(self) -> Any:
        return self._peer

    def getsockopt(self, level: int, option: int, buflen: int | None = None) -> int:  # type: ignore[override]
        return int(option == socket.SO_ACCEPTCONN and self._network.listeners.get(self._name[1]) is self)

    def setsockopt(self, level: int, option: int, value: Any, optlen: int | None = None) -> None:  # type: ignore[override]
        pass

    def _check_open(self) -> None:
        if self.closed:
            raise OSError(errno.EBADF, "closed")
