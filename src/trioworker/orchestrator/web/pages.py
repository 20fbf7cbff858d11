"""The page's routes: its files, the list of jobs, a job's stream and time line, and the stop."""

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

from trioworker.orchestrator.event_streams import EventStream, StreamLimit, event_number, follow_events
from trioworker.orchestrator.management_api import known_job
from trioworker.orchestrator.request_checks import check_management, read_body
from trioworker.orchestrator.web.page_events import encode_for_page
from trioworker.orchestrator.web.timeline import from_events, read_trace
from trioworker.orchestrator.worker_api import json_response

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.requests import Request

    from trioworker.orchestrator.store import Store
    from trioworker.orchestrator.views import StoredEvent

    Handler = Callable[[Request], Awaitable[Response]]

STATIC = Path(__file__).parent / "static"
FILES = {
    "style.css": "text/css",
    **dict.fromkeys(
        ("app.js", "events.js", "jobs.js", "keys.js", "stream.js", "timeline.js", "tree.js", "units.js"),
        "text/javascript",
    ),
}
"""What the page loads. A name that is not here is no file."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    # No text becomes markup or script: the browser refuses `innerHTML` and its like altogether.
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
"""Events that a time line without a trace is drawn from."""


class Local(msgspec.Struct, frozen=True):
    """The job that runs in this process: how its worker is stopped, and where it writes its trace."""

    job_id: str
    stop: Callable[[], None]
    trace: Path | None


class Pages:
    """The handlers; `routes` is what an application mounts. `local` is set once a worker runs here."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.stream_limit = StreamLimit(MAX_STREAMS)
        self.local: Local | None = None

    def routes(self) -> list[Route]:
        """`/` and what lies under `/web`."""
        return [
            Route("/", _guarded(partial(_file, "index.html", "text/html")), methods=["GET"]),
            *(
                Route(f"/web/{name}", _guarded(partial(_file, name, media_type)), methods=["GET"])
                for name, media_type in FILES.items()
            ),
            Route("/web/jobs", _guarded(self._jobs), methods=["GET"]),
            Route("/web/jobs/{job_id}/events", _guarded(self._follow), methods=["GET"]),
            Route("/web/jobs/{job_id}/timeline", _guarded(self._timeline), methods=["GET"]),
            Route("/web/jobs/{job_id}/stop", _guarded(self._stop), methods=["POST"]),
        ]

    async def _jobs(self, _: Request) -> Response:
        fields = ("id", "title", "state", "created", "ended")
        return json_response({"jobs": [{name: getattr(job, name) for name in fields} for job in self._store.views()]})

    async def _follow(self, request: Request) -> Response:
        job = known_job(self._store, request)
        # A browser that reconnects by itself repeats the URL, whose number is then out of date.
        after = event_number(request.headers.get("last-event-id") or request.query_params.get("after") or "0")
        self.stream_limit.check()
        stream = follow_events(self._store, job.id, after, encode_for_page, job_changes=True, retry=RETRY_DELAY)
        return EventStream(stream, slot=self.stream_limit)

    async def _timeline(self, request: Request) -> Response:
        job = known_job(self._store, request)
        drawn = None
        if self.local is not None and self.local.job_id == job.id and self.local.trace is not None:
            # In a thread: some MB take a while, and workers wait for this loop.
            drawn = await trio.to_thread.run_sync(read_trace, self.local.trace, abandon_on_cancel=True)
        return json_response(drawn or from_events(job, self._events(job.id)))

    async def _stop(self, request: Request) -> Response:
        job = known_job(self._store, request)
        await read_body(request, _nothing)
        if job.ended is not None:
            raise HTTPException(409, "the job has ended")
        if self.local is not None and self.local.job_id == job.id:
            # Its worker reports the end.
            self.local.stop()
        else:
            # Its worker is elsewhere: its token is refused from now on, which ends it at its next request.
            self._store.cancel(job.id, "stopped by hand")
        return Response(status_code=202)

    def _events(self, job_id: str) -> list[StoredEvent]:
        found: list[StoredEvent] = []
        while len(found) < MAX_EVENTS and (more := self._store.events(job_id, found[-1].number if found else 0)):
            found += more
        return found


_nothing = msgspec.json.Decoder(dict[str, None])


async def _file(name: str, media_type: str, _: Request) -> Response:
    return Response((STATIC / name).read_bytes(), media_type=media_type)


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        check_management(request)
        response = await handler(request)
        response.headers.update(HEADERS)
        return response

    return guarded
