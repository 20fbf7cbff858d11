"""The orchestrator of a replayed job, behind httpx's transport interface: it answers from the cassette.

A request to the model is held against the recorded one first. Its reply is held back until the follow-ups that joined
the next request are with the worker, so that they join the same one again. A request that comes twice, since its reply
was lost or an actor restarted, gets the same reply.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import trio

from trioworker.cassette.bodies import Bodies
from trioworker.cassette.difference import difference
from trioworker.protocol.wire import JobDescription, Prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioworker.cassette.format import Cassette, Exchange

REFUSED = 422
"""Final for a worker: no other try can make a request the recorded one."""


class Divergence(msgspec.Struct, frozen=True):
    """Where a replay left its recording: in words, and what differs."""

    message: str
    diff: str = ""


class RecordedOrchestrator(httpx.AsyncBaseTransport):
    """Serves one job.

    Attributes:
        divergence: the first request that was not the recorded one.
        ran_out: the job is at the place where the recorded one was stopped.
        reports: the bodies of `POST complete`.
    """

    def __init__(
        self, cassette: Cassette, redact: Callable[[str], str], on_event: Callable[[str, dict[str, Any]], None]
    ) -> None:
        """`told` is called with the type and data of each event."""
        self.divergence: Divergence | None = None
        self.ran_out = trio.Event()
        self.reports: list[dict[str, Any]] = []
        self._cassette = cassette
        self._bodies = Bodies(redact)
        self._on_event = on_event
        self._next = 0
        self._asked_at: list[float] = []
        self._prompts: deque[str] = deque(cassette.exchanges[0].prompts if cassette.exchanges else ())
        self._handed_out: str | None = None
        self._taken = trio.Condition()

    @property
    def requests(self) -> int:
        """How many of the recorded requests were made."""
        return self._next

    async def missing(self) -> None:
        """Something was asked for that was not recorded: where a job was stopped, that goes no further."""
        if self._next == len(self._cassette.exchanges) and self._cassette.end.status in {"cancelled", "stuck"}:
            self.ran_out.set()
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
                return await self._reply(path, body)
            case _:
                # No credentials: the tools that would need them don't run.
                return httpx.Response(204 if path == "credentials" else 404)

    async def _prompt(self) -> httpx.Response:
        """The next follow-up. That the one before has arrived is known by being asked again."""
        async with self._taken:
            self._handed_out = self._prompts.popleft() if self._prompts else None
            self._taken.notify_all()
        if self._handed_out is None:
            return httpx.Response(204)
        return _json(Prompt(content=self._handed_out))

    async def _reply(self, path: str, body: bytes) -> httpx.Response:
        exchange = await self._recorded(path, self._bodies.parts(body).whole)
        if exchange is None:
            return httpx.Response(REFUSED, content=b"this request is not the recorded one")
        due = self._asked_at[self._next - 1]
        async with self._taken:
            while self._prompts or self._handed_out is not None:
                await self._taken.wait()
        if exchange.reply is None:
            self.ran_out.set()
            await trio.sleep_forever()
            raise AssertionError
        status = exchange.reply.status
        if 200 <= status < 500:
            await trio.sleep_until(due + exchange.reply.seconds)
        if not status:
            raise httpx.ConnectError("there was no answer when the job was recorded")
        return httpx.Response(status, content=exchange.reply.content)

    async def _recorded(self, path: str, sent: bytes) -> Exchange | None:
        """The exchange that this request is the request of."""
        exchanges = self._cassette.exchanges
        for number in (self._next, self._next - 1):
            if 0 <= number < len(exchanges) and (exchanges[number].path, exchanges[number].request) == (path, sent):
                if number == self._next:
                    self._advance()
                return exchanges[number]
        if self.divergence is None:
            await self.missing()
            self.divergence = self._divergence(path, sent)
        return None

    def _advance(self) -> None:
        self._next += 1
        self._asked_at.append(trio.current_time())
        if self._next < len(self._cassette.exchanges):
            self._prompts.extend(self._cassette.exchanges[self._next].prompts)

    def _divergence(self, path: str, sent: bytes) -> Divergence:
        exchanges = self._cassette.exchanges
        number = self._next + 1
        if self._next == len(exchanges):
            message = f"request {number} was not recorded: the recorded job ended after {len(exchanges)}"
            return Divergence(message, difference(exchanges[-1].request if exchanges else b"", sent))
        recorded = exchanges[self._next]
        message = f"request {number} of {len(exchanges)} differs from the recorded one"
        if path != recorded.path:
            message += f": it is to {path}, and not to {recorded.path}"
        return Divergence(message, difference(recorded.request, sent))


def _json(value: object) -> httpx.Response:
    return httpx.Response(200, content=msgspec.json.encode(value))
