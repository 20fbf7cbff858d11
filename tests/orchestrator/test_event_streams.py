"""The stream of a job's events, in virtual time."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
from starlette.exceptions import HTTPException

from trioworker.orchestrator.event_streams import KEEP_ALIVE, event_number, follow_events, sse
from trioworker.orchestrator.store import Store
from trioworker.protocol.wire import CompletionReport, StatusUpdate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trioworker.orchestrator.views import StoredEvent

COMMENT = b": still here\n\n"


def encode(event: StoredEvent) -> bytes:
    return sse(event.event_type, msgspec.json.encode(event.data), event.number)


async def received(stream: AsyncGenerator[bytes, None], pieces: int) -> list[bytes]:
    return [await anext(stream) for _ in range(pieces)]


async def test_a_silent_stream_sends_a_comment_every_fifteen_seconds(autojump_clock: object) -> None:
    del autojump_clock
    with Store() as store:
        job = store.create_job("x", title="x")
        async with aclosing(follow_events(store, job.id, 0, encode)) as stream:
            start = trio.current_time()

            assert await received(stream, 3) == [COMMENT] * 3
            assert trio.current_time() - start == pytest.approx(3 * KEEP_ALIVE)


async def test_changes_that_are_not_sent_do_not_delay_the_comment(autojump_clock: object) -> None:
    del autojump_clock
    with Store() as store:
        job = store.create_job("x", title="x")

        async def update_status() -> None:
            for iteration in range(100):
                await trio.sleep(KEEP_ALIVE / 4)
                store.set_status(job.id, StatusUpdate(message="on", iteration=iteration))

        async with aclosing(follow_events(store, job.id, 0, encode)) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(update_status)
            start = trio.current_time()

            assert await received(stream, 1) == [COMMENT]
            assert trio.current_time() - start == pytest.approx(KEEP_ALIVE)
            nursery.cancel_scope.cancel()


async def test_job_changes_are_sent_once_each_and_the_end_holds_the_job(autojump_clock: object) -> None:
    del autojump_clock
    with Store() as store:
        job = store.create_job("x", title="x")
        stream = follow_events(store, job.id, 0, encode, encode_job=msgspec.json.encode, retry=1.5)
        async with aclosing(stream):
            retry, pending = await received(stream, 2)
            store.set_status(job.id, StatusUpdate(message="on", iteration=1))
            (running,) = await received(stream, 1)
            store.add_event(job.id, "status", {"seq": 0})
            (event,) = await received(stream, 1)
            store.complete(job.id, CompletionReport(success=True, message="done", iterations=1))
            completed, end = await received(stream, 2)
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    assert retry == b"retry: 1500\n\n"
    assert event == b'id: 1\nevent: status\ndata: {"seq":0}\n\n'
    for piece, state in ((pending, b"pending"), (running, b"in_progress"), (completed, b"completed")):
        assert piece.startswith(b"event: job\n")
        assert b'"state":"%s"' % state in piece
    assert end == completed.replace(b"event: job", b"event: end")


@pytest.mark.parametrize("text", ["", "x", "-1", "1.0", " 1", "²", "9" * 19])
def test_an_event_number_that_is_not_an_integer_is_refused(text: str) -> None:
    with pytest.raises(HTTPException) as refusal:
        event_number(text)

    assert refusal.value.status_code == 400
