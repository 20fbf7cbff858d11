"""The management side: make jobs, look at them, follow their events, and say more to their workers."""

from __future__ import annotations

import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec
import trio
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from trioworker.orchestrator.request_checks import check_management, read_body
from trioworker.orchestrator.views import NewJobRequest, title_of
from trioworker.orchestrator.worker_api import json_response
from trioworker.protocol.wire import Prompt

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from trioworker.orchestrator.store import Store
    from trioworker.orchestrator.views import JobView

    Handler = Callable[[Request], Awaitable[Response]]

KEEP_ALIVE = 15.0
"""Seconds of silence after which a follower gets a comment, so that no proxy takes the stream for dead."""

_new_job = msgspec.json.Decoder(NewJobRequest)
_prompt = msgspec.json.Decoder(Prompt)


class ManagementApi:
    """The handlers; `routes` is what an application mounts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """The routes under `/jobs`, each guarded."""
        return [
            Route("/jobs", _guarded(self._create), methods=["POST"]),
            Route("/jobs", _guarded(self._list), methods=["GET"]),
            Route("/jobs/{job_id}", _guarded(self._show), methods=["GET"]),
            Route("/jobs/{job_id}/events", _guarded(self._follow), methods=["GET"]),
            Route("/jobs/{job_id}/prompt", _guarded(self._say), methods=["POST"]),
        ]

    async def _create(self, request: Request) -> Response:
        wanted = await read_body(request, _new_job)
        job = self._store.create_job(
            wanted.description,
            title=wanted.title or title_of(wanted.description),
            project_dir=wanted.project_dir,
            credentials=wanted.credentials or (),
        )
        return json_response(job, status=201)

    async def _list(self, _: Request) -> Response:
        return json_response({"jobs": self._store.views()})

    async def _show(self, request: Request) -> Response:
        return json_response(known_job(self._store, request))

    async def _follow(self, request: Request) -> Response:
        job = known_job(self._store, request)
        last = request.headers.get("last-event-id", "0")
        if not last.isascii() or not last.isdigit() or len(last) > 18:
            raise HTTPException(400, "Last-Event-ID is the number of an event")
        stream = _stream(self._store, job.id, int(last))
        return EventStream(stream, headers={"Cache-Control": "no-store"})

    async def _say(self, request: Request) -> Response:
        job = known_job(self._store, request)
        if not self._store.add_prompt(job.id, await read_body(request, _prompt)):
            raise HTTPException(409, "the job has ended")
        return Response(status_code=202)


class EventStream(StreamingResponse):
    """Server-sent events from a generator, which is closed at once when the reader or the server goes."""

    def __init__(self, stream: AsyncGenerator[bytes, None], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(stream, media_type="text/event-stream", headers=headers)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        async with aclosing(self._stream):
            await super().__call__(scope, receive, send)


def known_job(store: Store, request: Request) -> JobView:
    """The job that the path names.

    Raises:
        HTTPException: 404, there is none.
    """
    try:
        job = store.view(str(uuid.UUID(request.path_params["job_id"])))
    except ValueError:
        job = None
    if job is None:
        raise HTTPException(404, "no such job")
    return job


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        check_management(request)
        return await handler(request)

    return guarded


async def _stream(store: Store, job_id: str, after: int) -> AsyncGenerator[bytes, None]:
    """A job's events as server-sent events, from the one after `after`; the last, `end`, holds the job."""
    while True:
        events = None
        with trio.move_on_after(KEEP_ALIVE):
            events = await store.next_events(job_id, after)
        if events is None:
            yield b": still here\n\n"
            continue
        if not events:
            break
        for event in events:
            yield sse(event.event_type, msgspec.json.encode(event), event.number)
        after = events[-1].number
    yield sse("end", msgspec.json.encode(store.view(job_id)))


def sse(kind: str, data: bytes, number: int | None = None) -> bytes:
    """One server-sent event. JSON has no bare line ends; a type is kept from bringing its own."""
    head = b"" if number is None else b"id: %d\n" % number
    return head + b"event: %s\ndata: %s\n\n" % ("".join(kind.splitlines()).encode(), data)
