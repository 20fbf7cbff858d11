"""The page's routes: static files, the list of jobs, and a job's event stream, download, timeline and stop button."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import trio
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from trioworker.orchestrator.database import unlocked
from trioworker.orchestrator.event_streams import EventStream, StreamLimit, event_number, follow_events
from trioworker.orchestrator.management_api import known_job
from trioworker.orchestrator.request_checks import read_body
from trioworker.orchestrator.web.download import download
from trioworker.orchestrator.web.page_events import encode_for_page, page_job
from trioworker.orchestrator.web.timeline import from_events, read_trace
from trioworker.orchestrator.worker_api import json_response

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.requests import Request

    from trioworker.orchestrator.management_access import ManagementAccess
    from trioworker.orchestrator.store import Store
    from trioworker.orchestrator.views import JobView, StoredEvent

    Handler = Callable[[Request], Awaitable[Response]]

STATIC = Path(__file__).parent / "static"
FILES = {
    **dict.fromkeys(("events.css", "style.css"), "text/css"),
    **dict.fromkeys(
        (
            *("address.js", "answer.js", "app.js", "calls.js", "copy.js", "diff.js", "events.js", "facts.js"),
            *("filter.js", "follow-ups.js", "jobs.js", "keys.js", "now.js", "notices.js", "requests.js"),
            *("scrolling.js", "stream.js", "timeline.js", "tree.js", "units.js"),
        ),
        "text/javascript",
    ),
}
"""The page's files and their media types. No other file is served."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    # No text becomes markup or script: the browser rejects `innerHTML` and similar.
    " require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MAX_STREAMS = 64
"""Streams that may be open at once; a browser opens six connections to one server."""
RETRY_DELAY = 1.0
"""Seconds after which a browser reconnects."""
MAX_EVENTS = 5000
"""Maximum number of events from which a timeline is drawn, if there is no trace."""


class LocalWorker(msgspec.Struct, frozen=True):
    """A worker that is a child of this process: its job, how to stop it, and the path of its trace."""

    job_id: str
    stop: Callable[[], None]
    trace: Path | None


class Pages:
    """Request handlers; the application mounts `routes`. `local` is the worker of this process, if there is one."""

    def __init__(self, store: Store, access: ManagementAccess) -> None:
        self._store = store
        self.access = access
        self.stream_limit = StreamLimit(MAX_STREAMS)
        self.local: LocalWorker | None = None

    def routes(self) -> list[Route]:
        """The routes `/` and `/web/…`."""
        return [
            Route("/", self._open, methods=["GET"]),
            *(
                Route(f"/web/{name}", self._checked(partial(_file, name, media_type)), methods=["GET"])
                for name, media_type in FILES.items()
            ),
            Route("/web/jobs", self._checked(self._jobs), methods=["GET"]),
            Route("/web/jobs/{job_id}/events", self._checked(self._follow), methods=["GET"]),
            Route("/web/jobs/{job_id}/download", self._checked(self._download), methods=["GET"]),
            Route("/web/jobs/{job_id}/timeline", self._checked(self._timeline), methods=["GET"]),
            Route("/web/jobs/{job_id}/stop", self._checked(self._stop), methods=["POST"]),
        ]

    def _checked(self, handler: Handler) -> Handler:
        async def checked(request: Request) -> Response:
            self.access.check(request)
            response = await handler(request)
            response.headers.update(HEADERS)
            return response

        return checked

    async def _open(self, request: Request) -> Response:
        redirect = self.access.login(request)
        if redirect is None:
            return await self._checked(partial(_file, "index.html", "text/html"))(request)
        redirect.headers.update(HEADERS)
        return redirect

    async def _jobs(self, request: Request) -> Response:
        jobs = await unlocked(self._store.search, request.query_params.get("text", ""))
        return json_response({"jobs": jobs})

    async def _follow(self, request: Request) -> Response:
        job = await known_job(self._store, request)
        # The header first: a browser that reconnects repeats the URL, whose number is out of date.
        after = event_number(request.headers.get("last-event-id") or request.query_params.get("after") or "0")
        self.stream_limit.check()
        stream = follow_events(
            self._store, job.id, after, encode_for_page, encode_job=self._encode_job, retry=RETRY_DELAY
        )
        return EventStream(stream, slot=self.stream_limit)

    def _encode_job(self, job: JobView) -> bytes:
        return msgspec.json.encode(page_job(job, self._store.prompts(job.id), is_local=self._is_local(job.id)))

    def _is_local(self, job_id: str) -> bool:
        return self.local is not None and self.local.job_id == job_id

    async def _download(self, request: Request) -> Response:
        return download(self._store, await known_job(self._store, request))

    async def _timeline(self, request: Request) -> Response:
        job = await known_job(self._store, request)
        timeline = None
        if self.local is not None and self.local.job_id == job.id and self.local.trace is not None:
            # In a thread: parsing megabytes would block the event loop, and with it the workers' requests.
            timeline = await trio.to_thread.run_sync(read_trace, self.local.trace, abandon_on_cancel=True)
        return json_response(timeline or from_events(job, await unlocked(self._events, job.id)))

    async def _stop(self, request: Request) -> Response:
        job = await known_job(self._store, request)
        await read_body(request, _empty)
        if job.ended is not None:
            raise HTTPException(409, "the job has ended")
        if self.local is not None and self.local.job_id == job.id:
            # The worker reports the end.
            self.local.stop()
        else:
            # A remote worker can't be stopped. Its token is revoked, so it ends at its next request.
            await unlocked(self._store.cancel, job.id, "stopped by the user")
        return Response(status_code=202)

    def _events(self, job_id: str) -> list[StoredEvent]:
        events: list[StoredEvent] = []
        while len(events) < MAX_EVENTS and (more := self._store.events(job_id, events[-1].number if events else 0)):
            events += more
        return events


_empty = msgspec.json.Decoder(dict[str, None])


async def _file(name: str, media_type: str, _: Request) -> Response:
    return Response((STATIC / name).read_bytes(), media_type=media_type)
