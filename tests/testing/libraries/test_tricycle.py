"""tricycle."""

from __future__ import annotations

import pytest
import tricycle
import trio
from trio.testing import memory_stream_one_way_pair

from support.library_scenarios import Defect, Scenario, verify
from support.survivors import run_beside


class ReadersAndWriters(Scenario):
    """Readers and writers of a lock, with one of each cancelled: nobody is inside together with a writer."""

    library = "tricycle"

    async def body(self) -> None:
        self.lock = tricycle.RWLock(read_biased=False)
        self.inside: list[str] = []
        await run_beside([self.read, self.write], [self.read, self.write, self.read])

    async def read(self) -> None:
        async with self.lock.read_locked():
            await self.use("reader")

    async def write(self) -> None:
        async with self.lock.write_locked():
            assert not self.inside
            await self.use("writer")

    async def use(self, kind: str) -> None:
        assert "writer" not in self.inside
        self.inside.append(kind)
        try:
            await trio.sleep(1)
        finally:
            self.inside.remove(kind)

    async def check(self) -> None:
        assert not self.lock.locked()
        statistics = self.lock.statistics()
        assert statistics.readers_waiting == statistics.writers_waiting == 0


class ReaderBehindCancelledWriter(Scenario):
    """A reader waits behind a writer that waits for another reader. If the writer is cancelled, both can read."""

    library = "tricycle"
    defect = Defect(
        "the reader waited",
        "_rwlock.py, acquire: `abort_fn` removes the writer, but doesn't wake the readers that wait only for it",
    )

    async def body(self) -> None:
        self.lock = tricycle.RWLock(read_biased=False)
        self.writer_gone_at, self.read_at = 0.0, 0.0
        await run_beside([self.write], [self.hold, self.read])

    async def hold(self) -> None:
        async with self.lock.read_locked():
            await trio.sleep(100)

    async def write(self) -> None:
        try:
            await trio.sleep(1)
            async with self.lock.write_locked():
                await trio.sleep(1)
        finally:
            self.writer_gone_at = trio.current_time()

    async def read(self) -> None:
        await trio.sleep(2)
        async with self.lock.read_locked():
            self.read_at = trio.current_time()

    async def check(self) -> None:
        late = self.read_at - max(self.writer_gone_at, 2)
        assert late < 1, f"the reader waited {late} s"


class Services(Scenario):
    """A service nursery: the service outlives the users that are cancelled with it."""

    library = "tricycle"

    async def body(self) -> None:
        self.served = self.open = 0
        async with tricycle.open_service_nursery() as nursery:
            send, receive = trio.open_memory_channel[trio.Event](0)
            nursery.start_soon(self.service, receive)
            with send:
                await self.use(send)
                await self.use(send)
                self.open += 1
                try:
                    await trio.sleep(1)
                finally:
                    # The service is still running here, although everything is cancelled.
                    with trio.move_on_after(50) as limit:
                        limit.shield = True
                        await self.use(send)
                        self.open -= 1

    async def service(self, requests: trio.MemoryReceiveChannel[trio.Event]) -> None:
        with requests:
            async for request in requests:
                await trio.sleep(1)
                self.served += 1
                request.set()

    async def use(self, send: trio.MemorySendChannel[trio.Event]) -> None:
        done = trio.Event()
        await send.send(done)
        await done.wait()

    async def check(self) -> None:
        assert self.open == 0


class Lines(Scenario):
    """A reader of text and bytes that is cancelled loses nothing: the next one continues where it was."""

    library = "tricycle"

    async def body(self) -> None:
        self.text: list[str] = []
        self.parts: list[bytes] = []
        self.ended = trio.Event()
        text, bytes_ = memory_stream_one_way_pair(), memory_stream_one_way_pair()
        sends = (text[0], bytes_[0])
        self.lines = tricycle.TextReceiveStream(text[1], "utf-8", newline=None)
        self.buffered = tricycle.BufferedReceiveStream(bytes_[1])

        async def produce() -> None:
            for part in (b"on", b"e\r", b"\ntw\xc3", b"\xb6\nth", b"ree\n"):
                for send in sends:
                    await trio.sleep(1)
                    await send.send_all(part)
            for send in sends:
                await send.aclose()

        async def victim() -> None:
            try:
                await self.read()
            finally:
                self.ended.set()

        async def survivor() -> None:
            await self.ended.wait()
            await self.read()

        await run_beside([victim], [survivor, produce])

    async def read(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.read_lines)
            nursery.start_soon(self.read_parts)

    async def read_lines(self) -> None:
        async for line in self.lines:
            self.text.append(line)

    async def read_parts(self) -> None:
        while part := await self.buffered.receive(5):
            self.parts.append(bytes(part))

    async def check(self) -> None:
        assert self.text == ["one\n", "twö\n", "three\n"], self.text
        assert b"".join(self.parts) == b"one\r\ntw\xc3\xb6\nthree\n", self.parts


SCENARIOS = [kind() for kind in (ReadersAndWriters, ReaderBehindCancelledWriter, Services, Lines)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_matrix_finds_only_the_known_defects(scenario: Scenario) -> None:
    verify(scenario)
