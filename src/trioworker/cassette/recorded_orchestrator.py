"""The orchestrator of a replayed job, as an httpx transport that answers from the cassette.

A request to the model is compared with the recorded one first. Its reply is delayed until the worker has the follow-ups
that joined the next request, so that they join the same one again. A request that is repeated, because its reply was
lost or an actor restarted, gets the same reply.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import trio

from trioworker.cassette.bodies import BodySplitter
from trioworker.cassette.request_diff import diff_requests
from trioworker.protocol.wire import JobDescription, Prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioworker.cassette.format import Cassette, RecordedExchange

DIVERGED_STATUS = 422
"""The response to a request that differs. The worker doesn't retry after it."""


class Divergence(msgspec.Struct, frozen=True):
    """The first difference between a replay and its recording, in words and as a diff."""

    message: str
    diff: str = ""


class RecordedOrchestrator(httpx.AsyncBaseTransport):
    """Serves one job.

    Attributes:
        divergence: the first request that differs from the recorded one.
        reached_stop: the job is at the place where the recorded one was stopped.
        reports: the bodies of `POST complete`.
    """

    def __init__(
        self, cassette: Cassette, redact: Callable[[str], str], on_event: Callable[[str, dict[str, Any]], None]
    ) -> None:
        """`on_event` gets the type and data of each event."""
        self.divergence: Divergence | None = None
        self.reached_stop = trio.Event()
        self.reports: list[dict[str, Any]] = []
        self._cassette = cassette
        self._bodies = BodySplitter(redact)
        self._on_event = on_event
        self._next = 0
        self._requested_at: list[float] = []
        self._prompts: deque[str] = deque(cassette.exchanges[0].prompts if cassette.exchanges else ())
        self._delivering_prompt: str | None = None
        self._prompts_changed = trio.Condition()

    @property
    def requests(self) -> int:
        """How many of the recorded requests were made."""
        return self._next

    async def wait_if_stopped(self) -> None:
        """Sleep forever if the recorded job was stopped here: what follows wasn't recorded."""
        if self._next == len(self._cassette.exchanges) and self._cassette.end.status in {"cancelled", "stuck"}:
            self.reached_stop.set()
            await trio.sleep_forever()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one of the contract's requests."""
        body = await request.aread()
        path = request.url.path.partition("/worker/")[2].partition("/")[2]
        await trio.lowlevel.checkpoint()
        match request.method, path:
            case "GET", "job":
                header = self._cassette.header
                return _json(JobDescription(title=header.title, description=header.description))
            case "GET", "prompt":
                return await self._prompt()
            case "POST", "event":
                event = msgspec.json.decode(body)
                self._on_event(event["event_type"], event["data"])
                return httpx.Response(200)
            case "POST", "status":
                return httpx.Response(200)
            case "POST", "complete":
                self.reports.append(msgspec.json.decode(body))
                return _json({"status": "ok"})
            case "POST", "llm/complete" | "llm/complete_with_tools":
                return await self._llm_reply(path, body)
            case _:
                # No credentials: the tools that would need them don't run.
                return httpx.Response(204 if path == "credentials" else 404)

    async def _prompt(self) -> httpx.Response:
        """Return the next follow-up. The worker has received the one before: otherwise it would not ask again."""
        async with self._prompts_changed:
            self._delivering_prompt = self._prompts.popleft() if self._prompts else None
            self._prompts_changed.notify_all()
        if self._delivering_prompt is None:
            return httpx.Response(204)
        return _json(Prompt(content=self._delivering_prompt))

    async def _llm_reply(self, path: str, body: bytes) -> httpx.Response:
        exchange = await self._match_recorded(path, self._bodies.split(body).whole)
        if exchange is None:
            return httpx.Response(DIVERGED_STATUS, content=b"this request is not the recorded one")
        due = self._requested_at[self._next - 1]
        async with self._prompts_changed:
            while self._prompts or self._delivering_prompt is not None:
                await self._prompts_changed.wait()
        if exchange.reply is None:
            self.reached_stop.set()
            await trio.sleep_forever()
            raise AssertionError
        status = exchange.reply.status
        if 200 <= status < 500:
            await trio.sleep_until(due + exchange.reply.seconds)
        if not status:
            raise httpx.ConnectError("there was no response when the job was recorded")
        return httpx.Response(status, content=exchange.reply.content)

    async def _match_recorded(self, path: str, sent: bytes) -> RecordedExchange | None:
        """Return the exchange with this request, or None if it differs from the recorded one."""
        exchanges = self._cassette.exchanges
        for number in (self._next, self._next - 1):
            if 0 <= number < len(exchanges) and (exchanges[number].path, exchanges[number].request) == (path, sent):
                if number == self._next:
                    self._advance()
                return exchanges[number]
        if self.divergence is None:
            await self.wait_if_stopped()
            self.divergence = self._divergence(path, sent)
        return None

    def _advance(self) -> None:
        self._next += 1
        self._requested_at.append(trio.current_time())
        if self._next < len(self._cassette.exchanges):
            self._prompts.extend(self._cassette.exchanges[self._next].prompts)

    def _divergence(self, path: str, sent: bytes) -> Divergence:
        exchanges = self._cassette.exchanges
        number = self._next + 1
        if self._next == len(exchanges):
            message = f"request {number} was not recorded: the recorded job ended after {len(exchanges)}"
            return Divergence(message, diff_requests(exchanges[-1].request if exchanges else b"", sent))
        recorded = exchanges[self._next]
        message = f"request {number} of {len(exchanges)} differs from the recorded one"
        if path != recorded.path:
            message += f": it is to {path}, not to {recorded.path}"
        return Divergence(message, diff_requests(recorded.request, sent))


def _json(value: object) -> httpx.Response:
    return httpx.Response(200, content=msgspec.json.encode(value))
