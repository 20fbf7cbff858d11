"""anyio on trio."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.abc
import pytest
import trio
from anyio.streams.buffered import BufferedByteReceiveStream

from support.library_scenarios import Defect, Scenario, verify
from support.memory_network import MemoryNetwork
from support.survivors import run_beside


class Messages(Scenario):
    """Two producers and two consumers of a memory object stream; a producer that is cancelled hasn't sent."""

    library = "anyio"
    size = 0
    # anyio #729 describes the same for receive_nowait. trio's channels pass: see test_trio.py.
    defect = Defect(
        "received",
        "streams/memory.py, send: a receiver still takes the item of a sender that was cancelled and hasn't run since,"
        " so `send` raises Cancelled though the item was received",
    )

    async def body(self) -> None:
        self.sent: list[int] = []
        self.got: list[int] = []
        send, receive = anyio.create_memory_object_stream[int](self.size)
        with send, receive:
            await run_beside(
                [lambda: self.produce(send.clone(), 1), lambda: self.consume(receive.clone())],
                [lambda: self.produce(send.clone(), 2), lambda: self.consume(receive.clone())],
            )
            # What is still in the buffer counts as sent, too.
            try:
                while True:
                    self.got.append(receive.receive_nowait())
            except (anyio.WouldBlock, anyio.EndOfStream):
                pass

    async def produce(self, stream: Any, first: int) -> None:
        with stream:
            for number in range(first, first + 8, 2):
                await stream.send(number)
                self.sent.append(number)

    async def consume(self, stream: Any) -> None:
        with stream, anyio.move_on_after(10):
            while True:
                self.got.append(await stream.receive())

    async def check(self) -> None:
        assert sorted(self.got) == sorted(self.sent), f"sent {self.sent}, received {self.got}"


class BufferedMessages(Messages):
    """The same with a buffer."""

    size = 1


class Locks(Scenario):
    """Users of a lock, a semaphore, a capacity limiter and a condition; the others can still use them."""

    library = "anyio"

    async def body(self) -> None:
        self.lock, self.semaphore, self.limiter = anyio.Lock(), anyio.Semaphore(1), anyio.CapacityLimiter(1)
        self.condition = anyio.Condition()
        self.events = 0
        await run_beside([self.user, self.waiter], [self.user, self.user, self.waiter], [self.notify])

    async def user(self) -> None:
        for each in (self.lock, self.semaphore, self.limiter):
            async with each:
                await anyio.sleep(1)

    async def waiter(self) -> None:
        async with self.condition:
            await self.condition.wait()

    async def notify(self) -> None:
        while True:
            await anyio.sleep(1)
            async with self.condition:
                self.condition.notify()

    async def check(self) -> None:
        assert not self.lock.locked()
        assert self.semaphore.value == 1
        assert self.limiter.borrowed_tokens == 0
        assert not self.condition.locked()
        assert self.condition.statistics().tasks_waiting == 0


class Connections(Scenario):
    """Connections are closed, even if connecting is cancelled."""

    library = "anyio"

    async def body(self) -> None:
        self.network = MemoryNetwork().install()
        await run_beside([self.client], [self.client], [self.serve])

    async def serve(self) -> None:
        await trio.serve_listeners(self.echo, [self.network.listen(80)])

    async def echo(self, stream: trio.abc.Stream) -> None:
        try:
            async for data in stream:
                await stream.send_all(data)
        except trio.BrokenResourceError:
            pass

    async def client(self) -> None:
        async with await anyio.connect_tcp("server", 80) as stream:
            await stream.send(b"line\n")
            assert await BufferedByteReceiveStream(stream).receive_until(b"\n", 10) == b"line"

    async def check(self) -> None:
        assert not self.network.open_sockets, f"not closed: {self.network.open_sockets}"


class Lines(Scenario):
    """A reader that is cancelled loses nothing: the next one continues where it was."""

    library = "anyio"

    async def body(self) -> None:
        send, receive = anyio.create_memory_object_stream[bytes](10)
        self.got: list[bytes] = []
        self.buffered = BufferedByteReceiveStream(receive)

        async def produce() -> None:
            with send:
                for part in (b"on", b"e\ntw", b"o\nth", b"ree\n12", b"34"):
                    await anyio.sleep(1)
                    await send.send(part)

        async def victim() -> None:
            while len(self.got) < 3:
                self.got.append(await self.buffered.receive_until(b"\n", 100))
            self.got.append(await self.buffered.receive_exactly(4))

        async def survivor() -> None:
            await self.ended.wait()
            if len(self.got) < 4:
                await victim()

        async def first() -> None:
            try:
                await victim()
            finally:
                self.ended.set()

        self.ended = trio.Event()
        with receive:
            await run_beside([first], [survivor, produce])

    async def check(self) -> None:
        assert self.got == [b"one", b"two", b"three", b"1234"], self.got


class StartedTasks(Scenario):
    """A task group whose tasks report that they have started."""

    library = "anyio"

    async def body(self) -> None:
        self.open = 0
        async with anyio.create_task_group() as group:
            for _ in range(2):
                await group.start(self.service)
            await anyio.sleep(2)
            group.cancel_scope.cancel()

    async def service(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        self.open += 1
        try:
            await anyio.sleep(1)
            task_status.started()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1)
                self.open -= 1

    async def check(self) -> None:
        assert self.open == 0


SCENARIOS = [kind() for kind in (Messages, BufferedMessages, Locks, Connections, Lines, StartedTasks)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_matrix_finds_only_the_known_defects(scenario: Scenario) -> None:
    verify(scenario)
