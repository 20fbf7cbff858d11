"""A job with all its events as one JSON file, sent in parts: it may be larger than what should be held in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.responses import StreamingResponse

from trioworker.orchestrator.database import unlocked

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trioworker.orchestrator.store import Store
    from trioworker.orchestrator.views import JobView


def download(store: Store, job: JobView) -> StreamingResponse:
    """The response: `{"job": …, "prompts": […], "events": […]}`, as a file that the browser saves."""
    headers = {"Content-Disposition": f'attachment; filename="trioworker-{job.id}.json"'}
    return StreamingResponse(_parts(store, job), media_type="application/json", headers=headers)


async def _parts(store: Store, job: JobView) -> AsyncGenerator[bytes, None]:
    prompts = await unlocked(store.prompts, job.id)
    yield b'{"job":%s,"prompts":%s,"events":[' % (msgspec.json.encode(job), msgspec.json.encode(prompts))
    after = 0
    while events := await unlocked(store.events, job.id, after):
        lines = b",\n".join(msgspec.json.encode(event) for event in events)
        yield b"\n" + lines if after == 0 else b",\n" + lines
        after = events[-1].number
    yield b"]}\n"
