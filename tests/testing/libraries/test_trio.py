"""trio itself: the standard for the other libraries."""

from __future__ import annotations

import pytest
import trio

from support.library_scenarios import Scenario, verify
from support.memory_network import MemoryNetwork
from support.survivors import run_beside


class Messages(Scenario):
    """Two producers and two consumers of a memory channel; a producer that is cancelled hasn't sent."""

    library = "trio"
    size = 0

    async def body(self) -> None:
        self.sent: list[int] = []
        self.got: list[int] = []
        send, receive = trio.open_memory_channel[int](self.size)
        with send, receive:
            await run_beside(
                [lambda: self.produce(send.clone(), 1), lambda: self.consume(receive.clone())],
                [lambda: self.produce(send.clone(), 2), lambda: self.consume(receive.clone())],
            )
            # What is still in the buffer counts as sent, too.
            try:
                while True:
                    self.got.append(receive.receive_nowait())
            except trio.WouldBlock:
                pass

    async def produce(self, channel: trio.MemorySendChannel[int], first: int) -> None:
        with channel:
            for number in range(first, first + 8, 2):
                await channel.send(number)
                self.sent.append(number)

    async def consume(self, channel: trio.MemoryReceiveChannel[int]) -> None:
        with channel, trio.move_on_after(10):
            while True:
                self.got.append(await channel.receive())

    async def check(self) -> None:
        assert sorted(self.got) == sorted(self.sent), f"sent {self.sent}, received {self.got}"


class BufferedMessages(Messages):
    """The same with a buffer."""

    size = 1


class Locks(Scenario):
    """Users of a lock, a semaphore, a capacity limiter and a condition; the others can still use them."""

    library = "trio"

    async def body(self) -> None:
        self.lock, self.semaphore, self.limiter = trio.StrictFIFOLock(), trio.Semaphore(1), trio.CapacityLimiter(1)
        self.condition = trio.Condition()
        await run_beside([self.user, self.waiter], [self.user, self.user, self.waiter], [self.notify])

    async def user(self) -> None:
        for each in (self.lock, self.semaphore, self.limiter):
            async with each:
                await trio.sleep(1)

    async def waiter(self) -> None:
        async with self.condition:
            await self.condition.wait()

    async def notify(self) -> None:
        while True:
            await trio.sleep(1)
            async with self.condition:
                self.condition.notify()

    async def check(self) -> None:
        assert not self.lock.locked()
        assert self.semaphore.value == 1
        assert self.limiter.borrowed_tokens == 0
        assert not self.condition.locked()
        assert self.condition.statistics().tasks_waiting == 0


class Connections(Scenario):
    """A server and its clients: connections are closed, even if connecting is cancelled."""

    library = "trio"

    async def body(self) -> None:
        self.network = MemoryNetwork().install()
        await run_beside([self.client, self.client], [self.client], [self.serve])

    async def serve(self) -> None:
        await trio.serve_listeners(self.echo, [self.network.listen(80)])

    async def echo(self, stream: trio.abc.Stream) -> None:
        try:
            async for data in stream:
                await stream.send_all(data)
        except trio.BrokenResourceError:
            pass

    async def client(self) -> None:
        async with await trio.open_tcp_stream("server", 80) as stream:
            await stream.send_all(b"line\n")
            assert await stream.receive_some() == b"line\n"

    async def check(self) -> None:
        assert not self.network.open_sockets, f"not closed: {self.network.open_sockets}"


SCENARIOS = [kind() for kind in (Messages, BufferedMessages, Locks, Connections)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_matrix_finds_only_the_known_defects(scenario: Scenario) -> None:
    verify(scenario)
