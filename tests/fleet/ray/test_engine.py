"""The engine of Ray, with a fake driver: queued jobs, stops, and a cluster that is lost and comes back."""

from __future__ import annotations

import io
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from support.fleets import RecordingObserver
from trioworker.errors import ConfigError
from trioworker.fleet.engine import Attempt
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.ray.driver_process import DriverConnection
from trioworker.fleet.ray.engine import CONNECT_TIMEOUT, LOST_TIMEOUT, QUIET_TIMEOUT, RayEngine, open_ray_engine
from trioworker.fleet.ray.messages import (
    Discard,
    Ended,
    Refused,
    Resources,
    Run,
    Started,
    Stop,
    Unreachable,
    decode_command,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from trioworker.fleet.ray.messages import Command, Event

JOB = FleetJob(job_id="job-0", token="t", orchestrator_url="http://x", workspace=None, worker_options=())
DONE = Attempt(exit_code=0, status="completed", success=True, node="host/1")
ONE_NODE = Resources(cpus=2.0, most_cpus=2.0)


class Drivers:
    """The drivers that an engine starts, one after the other; `current` is the far end of the last one's stream."""

    def __init__(self) -> None:
        self.current: trio.abc.Stream | None = None
        self.count = 0
        self._buffer = b""

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[DriverConnection]:
        near, self.current = memory_stream_pair()
        self.count += 1
        self._buffer = b""
        yield DriverConnection(near)

    async def say(self, *events: Event) -> None:
        assert self.current is not None
        for event in events:
            await self.current.send_all(encode(event) + b"\n")
        await wait_all_tasks_blocked()

    async def say_first(self, event: Event) -> None:
        """Wait until a driver is started, and let it say this."""
        await wait_all_tasks_blocked()
        await self.say(event)

    async def die(self) -> None:
        assert self.current is not None
        await self.current.aclose()
        await wait_all_tasks_blocked()

    async def command(self) -> Command:
        assert self.current is not None
        while b"\n" not in self._buffer:
            self._buffer += await self.current.receive_some()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return decode_command(line)


class Rig:
    """A connected engine."""

    def __init__(self, cpu: float = 1.0) -> None:
        self.drivers = Drivers()
        self.draining, self.stopping = trio.Event(), trio.Event()
        self.observer = RecordingObserver()
        self.engine = RayEngine(self.drivers.open, cpu, self.draining, self.observer)
        self.attempts: list[Attempt] = []

    async def run(self) -> None:
        self.attempts.append(await self.engine.run(JOB, self.stopping))

    def said(self, kind: str) -> list[str]:
        return [text for name, text in self.observer.seen if name == kind]

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[trio.Nursery]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.drivers.say_first, ONE_NODE)
            await nursery.start(self.engine.keep_connected)
            yield nursery
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[trio.Nursery]:
        """The driver has been told to run the job."""
        async with self.connected() as nursery:
            nursery.start_soon(self.run)
            assert await self.drivers.command() == Run(JOB)
            yield nursery


async def test_ended_worker_is_the_attempt(autojump_clock: MockClock) -> None:
    rig = Rig()
    async with rig.running():
        await rig.drivers.say(Started("job-0", "host/1"), Ended("job-0", DONE))
        assert rig.attempts == [DONE]


async def test_draining_discards_a_queued_job_without_an_attempt(autojump_clock: MockClock) -> None:
    rig = Rig()
    async with rig.running():
        rig.draining.set()
        assert await rig.drivers.command() == Discard("job-0")
        await rig.drivers.say(Ended("job-0", Attempt(exit_code=None, message="killed")))
        assert [(attempt.exit_code, attempt.count) for attempt in rig.attempts] == [(None, 0)]


async def test_draining_waits_for_a_worker_that_cancelling_stops(autojump_clock: MockClock) -> None:
    rig = Rig()
    async with rig.running() as nursery:
        await rig.drivers.say(Started("job-0", "host/1"))
        rig.draining.set()
        commands: list[Command] = []

        async def read() -> None:
            commands.append(await rig.drivers.command())

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        assert commands == []
        rig.stopping.set()
        await wait_all_tasks_blocked()
        assert commands == [Stop("job-0")]


async def test_lost_cluster_is_waited_for_and_does_not_count_as_an_attempt(autojump_clock: MockClock) -> None:
    rig = Rig()
    async with rig.running() as nursery:
        await rig.drivers.say(Started("job-0", "host/1"))
        await rig.drivers.die()
        (attempt,) = rig.attempts
        assert (attempt.exit_code, attempt.count, attempt.node) == (None, 0, "host/1")
        assert not attempt.is_last
        assert "1 workers may still be running" in (rig.engine.left_behind() or "")
        nursery.start_soon(rig.run)
        await trio.sleep(10)
        assert rig.drivers.count > 1
        await rig.drivers.say(ONE_NODE)
        assert await rig.drivers.command() == Run(JOB)
        assert rig.engine.left_behind() is None
    assert rig.said("notify") == [
        "the Ray cluster is lost: its driver has ended; waiting for it",
        "the Ray cluster is back",
    ]


async def test_unreachable_cluster_is_waited_for_after_the_start(autojump_clock: MockClock) -> None:
    rig = Rig()
    async with rig.connected():
        await rig.drivers.say(Unreachable("gone"))
        for _ in range(3):
            await trio.sleep(6)
            await rig.drivers.say(Unreachable("still gone"))
        await trio.sleep(6)
        await rig.drivers.say(ONE_NODE)
    assert rig.said("notify") == ["the Ray cluster is lost: gone; waiting for it", "the Ray cluster is back"]


async def test_draining_ends_the_wait_for_a_lost_cluster(autojump_clock: MockClock) -> None:
    rig = Rig()
    async with rig.connected() as nursery:
        await rig.drivers.die()
        nursery.start_soon(rig.run)
        await wait_all_tasks_blocked()
        rig.draining.set()
        await wait_all_tasks_blocked()
        assert [(attempt.exit_code, attempt.count) for attempt in rig.attempts] == [(None, 0)]


async def test_silent_cluster_is_reported_and_then_given_up(autojump_clock: MockClock) -> None:
    rig = Rig()
    async with rig.running():
        await trio.sleep(QUIET_TIMEOUT + 1)
        assert rig.said("notify") == ["the Ray cluster does not answer; waiting for it"]
        await rig.drivers.say(ONE_NODE)
        assert rig.said("notify")[1:] == ["the Ray cluster answers again"]
        assert rig.attempts == []
        await trio.sleep(LOST_TIMEOUT + QUIET_TIMEOUT)
        assert [attempt.count for attempt in rig.attempts] == [0]
        assert rig.said("notify")[-1] == "the Ray cluster is lost: no answer for 90 s; waiting for it"


async def test_missing_processors_are_reported_at_once(autojump_clock: MockClock) -> None:
    rig = Rig(cpu=64)
    async with rig.running():
        await rig.drivers.say(ONE_NODE, ONE_NODE)
        (reason,) = rig.said("waiting")
        assert reason.endswith("no node of the Ray cluster has 64 processors; the largest has 2")


async def test_job_in_the_queue_is_reported_within_ten_seconds(autojump_clock: MockClock) -> None:
    rig = Rig()
    async with rig.running():
        await rig.drivers.say(ONE_NODE)
        assert rig.said("waiting") == []
        await trio.sleep(9)
        await rig.drivers.say(ONE_NODE)
        await rig.drivers.say(Started("job-0", "host/1"))
        assert rig.said("waiting") == [
            "job-0: the Ray cluster's 2 processors are in use; each worker needs 1",
            "job-0: None",
        ]


@pytest.mark.parametrize("event", [Refused("too old"), Unreachable("too old")])
async def test_unusable_cluster_at_the_start_stops_the_fleet(autojump_clock: MockClock, event: Event) -> None:
    rig = Rig()
    with pytest.RaisesGroup(pytest.RaisesExc(ConfigError, match="too old")):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.engine.keep_connected)
            await wait_all_tasks_blocked()
            await rig.drivers.say(event)


async def test_cluster_that_never_answers_stops_the_fleet(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    with pytest.raises(ConfigError, match="no answer within 30 s"):
        await Rig().engine.keep_connected()
    assert trio.current_time() - began == CONNECT_TIMEOUT


async def test_refusal_during_the_run_stops_the_fleet(autojump_clock: MockClock) -> None:
    rig = Rig()
    with pytest.RaisesGroup(pytest.RaisesExc(ConfigError, match="no program"), flatten_subgroups=True):
        async with rig.running():
            await rig.drivers.say(Refused("no program"))
            await trio.sleep_forever()


def test_messages_keep_the_job_and_the_attempt() -> None:
    assert decode_command(encode(Run(JOB))) == Run(JOB)
    assert msgspec.json.decode(encode(Ended("job-0", DONE)), type=Ended) == Ended("job-0", DONE)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (
            b"[2026-01-31 12:00:00,000 E 1 2] rpc_client.h:204: Failed to connect. It may be\n/lib/libc.so.6 [0x7f]\n",
            "Failed to connect",
        ),
        (b"Traceback\nImportError: no such thing\n", "ImportError: no such thing"),
        (b"", None),
    ],
)
def test_last_words_of_a_driver_are_the_reason(log: bytes, reason: str | None) -> None:
    near, _ = memory_stream_pair()
    assert DriverConnection(near, io.BytesIO(log)).last_words() == reason


async def test_ray_client_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--address ray://x:1: Ray Client isn't supported"):
        async with open_ray_engine("ray://x:1", 1, trio.Event(), RecordingObserver()):
            pass
