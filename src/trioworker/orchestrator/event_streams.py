"""A job's events as server-sent events (WHATWG HTML, 'Server-sent events'), resumable by event number."""

from __future__ import annotations

from contextlib import AbstractContextManager, aclosing, nullcontext
from typing import TYPE_CHECKING

import msgspec
import trio
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from trioworker.orchestrator.database import unlocked

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from starlette.types import Receive, Scope, Send

    from trioworker.orchestrator.store import Store
    from trioworker.orchestrator.views import JobView, StoredEvent

KEEP_ALIVE = 15.0
"""Seconds of silence before a comment is sent, so that no proxy closes the connection as idle."""
MAX_NUMBER_DIGITS = 18
"""Digits of an event number: SQLite's integers have 63 bits."""


class EventStream(StreamingResponse):
    """A response of server-sent events.

    The generator is closed as soon as the client disconnects or the server shuts down. `slot` is held meanwhile.
    """

    def __init__(
        self,
        stream: AsyncGenerator[bytes, None],
        *,
        headers: Mapping[str, str] | None = None,
        slot: AbstractContextManager[object] | None = None,
    ) -> None:
        super().__init__(stream, media_type="text/event-stream", headers=headers)
        self._stream = stream
        self._slot = slot or nullcontext()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        with self._slot:
            async with aclosing(self._stream):
                await super().__call__(scope, receive, send)


class StreamLimit:
    """Limits how many streams are open at once. A context manager, entered once by each stream."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.open = 0

    def check(self) -> None:
        """Refuse another stream if the limit is reached.

        Raises:
            HTTPException: 503.
        """
        if self.open >= self._limit:
            raise HTTPException(503, f"{self._limit} pages are open; close one", {"Retry-After": "5"})

    def __enter__(self) -> None:
        self.open += 1

    def __exit__(self, *_: object) -> None:
        self.open -= 1


async def follow_events(
    store: Store,
    job_id: str,
    after: int,
    encode: Callable[[StoredEvent], bytes],
    *,
    encode_job: Callable[[JobView], bytes] | None = None,
    retry: float | None = None,
) -> AsyncGenerator[bytes, None]:
    """Stream a job's events, from the one after number `after`, until the job ends.

    `encode` turns an event into a server-sent event. With `encode_job`, which turns the job into JSON, a `job` event
    is sent whenever that JSON changes. The last event, `end`, holds the job. `retry` is the client's delay before it
    reconnects, in seconds.
    """
    if retry is not None:
        yield b"retry: %d\n\n" % round(retry * 1000)
    sent_job = b""
    keep_alive_at = trio.current_time() + KEEP_ALIVE
    while True:
        # No await between these reads and the wait below, so no change is missed.
        events, job, job_json = await unlocked(_read, store, job_id, after, encode_job)
        if events:
            after = events[-1].number
            # In one part: each one costs more time in the server than its encoding.
            yield b"".join(encode(event) for event in events)
        elif encode_job is not None and job is not None and job_json != sent_job:
            sent_job = job_json
            yield sse("job", job_json)
        elif job is None or job.ended is not None:
            break
        else:
            with trio.move_on_at(keep_alive_at) as silence:
                await store.changed(job_id)
            if not silence.cancelled_caught:
                continue
            yield b": still here\n\n"
        keep_alive_at = trio.current_time() + KEEP_ALIVE
    yield sse("end", job_json)


def _read(
    store: Store, job_id: str, after: int, encode_job: Callable[[JobView], bytes] | None
) -> tuple[list[StoredEvent], JobView | None, bytes]:
    """The next events, the job, and the job's JSON if it may have to be sent: after the events."""
    events, job = store.events(job_id, after), store.view(job_id)
    if job is None or events or (encode_job is None and job.ended is None):
        return events, job, b"null"
    return events, job, (encode_job or msgspec.json.encode)(job)


def sse(event_type: str, data: bytes, number: int | None = None) -> bytes:
    """One server-sent event.

    JSON contains no raw line breaks; those of the event type are removed, since they could forge another event.
    """
    event_id = b"" if number is None else b"id: %d\n" % number
    return event_id + b"event: %s\ndata: %s\n\n" % ("".join(event_type.splitlines()).encode(), data)


def event_number(text: str) -> int:
    """The event number after which a client resumes (the `Last-Event-ID` header).

    Raises:
        HTTPException: 400, not a number.
    """
    if not text.isascii() or not text.isdigit() or len(text) > MAX_NUMBER_DIGITS:
        raise HTTPException(400, f"the last event's number must be an integer of at most {MAX_NUMBER_DIGITS} digits")
    return int(text)
