"""The management API: create, list and show jobs, follow their events, and send follow-up prompts."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from trioworker.orchestrator.answers import JobList
from trioworker.orchestrator.database import unlocked
from trioworker.orchestrator.event_streams import EventStream, event_number, follow_events, sse
from trioworker.orchestrator.request_checks import read_body
from trioworker.orchestrator.views import NewJobRequest, title_of
from trioworker.orchestrator.worker_api import json_response
from trioworker.protocol.wire import Prompt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from trioworker.orchestrator.management_access import ManagementAccess
    from trioworker.orchestrator.store import Store
    from trioworker.orchestrator.views import JobView, StoredEvent

    Handler = Callable[[Request], Awaitable[Response]]

_new_job = msgspec.json.Decoder(NewJobRequest)
_prompt = msgspec.json.Decoder(Prompt)


class ManagementApi:
    """Request handlers; the application mounts `routes`."""

    def __init__(self, store: Store, access: ManagementAccess) -> None:
        self._store = store
        self._access = access

    def routes(self) -> list[Route]:
        """The routes under `/jobs`, each with the access check."""
        return [
            Route("/jobs", self._checked(self._create), methods=["POST"]),
            Route("/jobs", self._checked(self._list), methods=["GET"]),
            Route("/jobs/{job_id}", self._checked(self._show), methods=["GET"]),
            Route("/jobs/{job_id}/events", self._checked(self._follow), methods=["GET"]),
            Route("/jobs/{job_id}/prompt", self._checked(self._add_prompt), methods=["POST"]),
        ]

    def _checked(self, handler: Handler) -> Handler:
        async def checked(request: Request) -> Response:
            self._access.check(request)
            return await handler(request)

        return checked

    async def _create(self, request: Request) -> Response:
        body = await read_body(request, _new_job)
        job = await unlocked(
            self._store.create_job,
            body.description,
            title=body.title or title_of(body.description),
            project_dir=body.project_dir,
            credentials=body.credentials or (),
        )
        return json_response(job, status=201)

    async def _list(self, _: Request) -> Response:
        return json_response(JobList(jobs=await unlocked(self._store.views)))

    async def _show(self, request: Request) -> Response:
        return json_response(await known_job(self._store, request))

    async def _follow(self, request: Request) -> Response:
        job = await known_job(self._store, request)
        after = event_number(request.headers.get("last-event-id", "0"))
        stream = follow_events(self._store, job.id, after, _encode)
        return EventStream(stream, headers={"Cache-Control": "no-store"})

    async def _add_prompt(self, request: Request) -> Response:
        job = await known_job(self._store, request)
        if not await unlocked(self._store.add_prompt, job.id, await read_body(request, _prompt)):
            raise HTTPException(409, "the job has ended")
        return Response(status_code=202)


async def known_job(store: Store, request: Request) -> JobView:
    """The job with the id in the request's path.

    Raises:
        HTTPException: 404, there is no such job.
    """
    try:
        job = await unlocked(store.view, str(uuid.UUID(request.path_params["job_id"])))
    except ValueError:
        job = None
    if job is None:
        raise HTTPException(404, "no such job")
    return job


def _encode(event: StoredEvent) -> bytes:
    return sse(event.event_type, msgspec.json.encode(event), event.number)
