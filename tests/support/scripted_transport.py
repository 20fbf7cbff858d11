"""A transport that gives scripted answers, for tests of single requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise

import httpx
import msgspec
import trio

TimedReply = httpx.Response | Exception | Callable[[httpx.Request], Awaitable[httpx.Response]]
"""What a request gets: a response, an error of the connection, or whatever a function makes of it."""


NO_CONNECTION = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True)
class Arrival:
    """A request as it arrived, and when (trio's time)."""

    method: str
    url: str
    headers: httpx.Headers
    body: bytes
    at: float


class ScriptedTransport(httpx.AsyncBaseTransport):
    """Gives one answer a request, in order; the last one goes to all that follow."""

    def __init__(self, *answers: TimedReply) -> None:
        self._answers = answers
        self.arrivals: list[Arrival] = []

    @property
    def pauses(self) -> list[float]:
        """The seconds between the arrivals."""
        times = [arrival.at for arrival in self.arrivals]
        return [later - earlier for earlier, later in pairwise(times)]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._answers[min(len(self.arrivals), len(self._answers) - 1)]
        # An attempt that gets no connection sends nothing.
        body = b"" if isinstance(answer, NO_CONNECTION) else await request.aread()
        self.arrivals.append(
            Arrival(request.method, str(request.url), request.headers.copy(), body, trio.current_time())
        )
        match answer:
            case httpx.Response():
                # A copy: a response is read once, and this one may be the answer to many.
                return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
            case Exception():
                raise answer
            case _:
                return await answer(request)


def status(code: int, body: bytes = b"", **headers: str) -> httpx.Response:
    """A response of that status. `Retry_After="2"` gives a header."""
    return httpx.Response(
        code, content=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def json(value: object, code: int = 200) -> httpx.Response:
    """A response that holds a JSON value."""
    return httpx.Response(code, content=msgspec.json.encode(value))


async def hang(_: httpx.Request) -> httpx.Response:
    """No answer, ever."""
    await trio.sleep_forever()
    raise AssertionError


class _Drip(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await trio.sleep(1)


async def drip(_: httpx.Request) -> httpx.Response:
    """An answer whose body never ends: a byte a second."""
    return httpx.Response(200, stream=_Drip())
