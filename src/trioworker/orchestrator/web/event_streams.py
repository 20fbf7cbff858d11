"""A job's events as the page wants them: server-sent, resumable by number, with the job's state among them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import trio
from starlette.exceptions import HTTPException

from trioworker.orchestrator.management_api import KEEP_ALIVE, sse
from trioworker.orchestrator.readable_output import readable_output
from trioworker.orchestrator.web.markdown import markdown_tree

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from starlette.requests import Request

    from trioworker.orchestrator.store import Store
    from trioworker.orchestrator.views import JobView, StoredEvent

MAX_STREAMS = 64
"""Pages that are told at the same time; a browser opens six to one server."""

RETRY_MILLISECONDS = 1000
"""After which a browser connects again by itself."""


class Streams:
    """The streams that are open, and no more of them than there may be."""

    def __init__(self, store: Store, most: int = MAX_STREAMS) -> None:
        self._store = store
        self._most = most
        self.open = 0

    def check(self) -> None:
        """Refuse one more stream than there may be.

        Raises:
            HTTPException: 503.
        """
        if self.open >= self._most:
            raise HTTPException(503, f"{self._most} pages are open; close one", {"Retry-After": "5"})

    async def follow(self, job_id: str, after: int) -> AsyncGenerator[bytes, None]:
        """The events after `after`, each under its number, and `job` whenever it changed; the last of all is `end`."""
        with self._counted():
            told: JobView | None = None
            yield b"retry: %d\n\n" % RETRY_MILLISECONDS
            while True:
                # Nothing can change between these looks and the wait: there is no await between them.
                events, job = self._store.events(job_id, after), self._store.view(job_id)
                if events:
                    after = events[-1].number
                    for event in events:
                        yield sse("job-event", msgspec.json.encode(page_event(event)), event.number)
                elif job is not None and job != told:
                    told = job
                    yield sse("job", msgspec.json.encode(job))
                elif job is None or job.ended is not None:
                    break
                else:
                    changed = False
                    with trio.move_on_after(KEEP_ALIVE):
                        await self._store.changed(job_id)
                        changed = True
                    if not changed:
                        yield b": still here\n\n"
            yield sse("end", msgspec.json.encode(told))

    @contextmanager
    def _counted(self) -> Generator[None]:
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1


def page_event(event: StoredEvent) -> dict[str, Any]:
    """An event with its texts as the page shows them: Markdown as a tree, a tool's output without its JSON."""
    data = dict(event.data)
    if event.event_type == "message":
        data["tree"] = markdown_tree(str(data.get("content") or ""))
    elif event.event_type == "result":
        # Mostly the output of the last tool, which is no Markdown.
        data["message"] = readable_output(str(data.get("message") or ""))
    elif event.event_type == "tool_result":
        data["output"] = readable_output(str(data.get("output") or ""))
    return {
        "number": event.number,
        "type": event.event_type,
        "at": event.at,
        "tokens": event.usage.input_tokens + event.usage.output_tokens,
        "data": data,
    }


def resume_point(request: Request) -> int:
    """The number of the last event that the page has: a browser that reconnects tells it in `Last-Event-ID`.

    Raises:
        HTTPException: 400, it is no number.
    """
    last = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
    if not last.isascii() or not last.isdigit() or len(last) > 18:
        raise HTTPException(400, "Last-Event-ID and after are the number of an event")
    return int(last)
