"""Name lookups: shared, reused for a while, and apart from the time-out of connecting. The resolver is scripted."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from support.loopback import Loopback
from support.requests import JOB
from trioworker.worker.client.exchange import CONNECT_TIMEOUT, HttpRequest, TransientError
from trioworker.worker.client.name_lookup import HANGING_AFTER, LOOKUP_TIMEOUT, MAX_LOOKUPS, REUSED_FOR, NameLookup
from trioworker.worker.client.over_sockets import SocketConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock

    from trioworker.worker.client.name_lookup import Address


def addresses(port: int) -> list[Address]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


HERE = addresses(9)


class Resolver:
    """Answers each lookup once it is `released`; `calls` counts those that began."""

    def __init__(self, answer: list[Address] | OSError = HERE) -> None:
        self.answer = answer
        self.calls = 0
        self.released = threading.Event()

    def __call__(self, host: str, port: int) -> list[Address]:
        self.calls += 1
        self.released.wait(60)
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    resolver = Resolver()
    yield resolver
    resolver.released.set()


async def until_called(resolver: Resolver, calls: int) -> None:
    while resolver.calls < calls:
        await trio.testing.wait_all_tasks_blocked(0.001)


async def waited_in_vain(names: NameLookup, clock: MockClock) -> str:
    async def jump() -> None:
        await trio.testing.wait_all_tasks_blocked(0.01)
        clock.jump(LOOKUP_TIMEOUT)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(jump)
        with pytest.raises(TransientError) as caught:
            await names.addresses()
    return str(caught.value)


async def test_slow_lookup_does_not_count_as_connecting(resolver: Resolver, mock_clock: MockClock) -> None:
    server = Loopback(JOB.content)
    async with server.running() as url, trio.open_nursery() as nursery:
        port = int(url.rpartition(":")[2])
        resolver.answer = addresses(port)
        connection = SocketConnection(f"http://orchestrator.test:{port}/", {}, resolve=resolver)

        async def answer_late() -> None:
            await until_called(resolver, 1)
            mock_clock.jump(2 * CONNECT_TIMEOUT)
            await trio.testing.wait_all_tasks_blocked(0.01)
            resolver.released.set()

        nursery.start_soon(answer_late)
        assert (await connection.exchange(HttpRequest("GET", "job"), 1000)).status == 200
        await connection.aclose()


async def test_lookup_that_takes_too_long_is_continued_for_the_next_request(
    resolver: Resolver, mock_clock: MockClock
) -> None:
    names = NameLookup("orchestrator.test", 80, resolver)
    assert await waited_in_vain(names, mock_clock) == "cannot look up orchestrator.test: no answer within 8 s"
    resolver.released.set()
    assert await names.addresses() == HERE
    assert resolver.calls == 1


async def test_concurrent_requests_share_a_lookup(resolver: Resolver) -> None:
    names = NameLookup("orchestrator.test", 80, resolver)
    found: list[list[Address]] = []

    async def look_up() -> None:
        found.append(await names.addresses())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(look_up)
        await trio.testing.wait_all_tasks_blocked(0.01)
        resolver.released.set()
    assert found == [HERE] * 3
    assert resolver.calls == 1


async def test_result_is_reused_for_a_while(resolver: Resolver, mock_clock: MockClock) -> None:
    resolver.released.set()
    names = NameLookup("orchestrator.test", 80, resolver)
    await names.addresses()
    mock_clock.jump(REUSED_FOR - 1)
    await names.addresses()
    assert resolver.calls == 1
    mock_clock.jump(1)
    await names.addresses()
    assert resolver.calls == 2


async def test_name_is_looked_up_again_after_a_refused_connection(resolver: Resolver) -> None:
    resolver.released.set()
    connection = SocketConnection("http://orchestrator.test/", {}, resolve=resolver)
    for _ in range(2):
        with pytest.raises(TransientError, match="cannot connect: connection refused"):
            await connection.exchange(HttpRequest("GET", "job"), 1000)
    assert resolver.calls == 2


async def test_failed_lookup_is_reported_with_its_reason_and_repeated(resolver: Resolver) -> None:
    resolver.answer = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    resolver.released.set()
    names = NameLookup("orchestrator.test", 80, resolver)
    for _ in range(2):
        with pytest.raises(
            TransientError, match=r"^cannot look up orchestrator\.test: temporary failure in name resolution$"
        ):
            await names.addresses()
    assert resolver.calls == 2


async def test_hanging_lookups_are_limited_and_leave_the_threads_of_others_alone(
    resolver: Resolver, mock_clock: MockClock
) -> None:
    names = NameLookup("orchestrator.test", 80, resolver)
    for _ in range(MAX_LOOKUPS + 2):
        await waited_in_vain(names, mock_clock)
        mock_clock.jump(HANGING_AFTER)
    assert resolver.calls == MAX_LOOKUPS
    assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0


async def test_lookup_can_be_cancelled(resolver: Resolver) -> None:
    names = NameLookup("orchestrator.test", 80, resolver)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(names.addresses)
        await until_called(resolver, 1)
        nursery.cancel_scope.cancel()


def test_lookup_may_outlive_the_job() -> None:
    resolver = Resolver()

    async def give_up() -> None:
        names = NameLookup("orchestrator.test", 80, resolver)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(names.addresses)
            await until_called(resolver, 1)
            nursery.cancel_scope.cancel()

    trio.run(give_up)
    threads = threading.enumerate()
    resolver.released.set()
    assert any(thread.name == "name lookup" for thread in threads)


async def test_address_needs_no_lookup(resolver: Resolver) -> None:
    for host in ("127.0.0.1", "::1"):
        assert (await NameLookup(host, 80, resolver).addresses())[0][4][0] == host
    assert resolver.calls == 0
