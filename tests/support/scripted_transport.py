"""A transport with scripted responses, for tests of single requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise

import httpx
import msgspec
import trio

ScriptedResponse = httpx.Response | Exception | Callable[[httpx.Request], Awaitable[httpx.Response]]
"""What a request gets: a response, a connection error, or the response that a function returns."""


NO_CONNECTION = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True)
class Arrival:
    """A request as it arrived; `at` is in seconds of trio's clock."""

    method: str
    url: str
    headers: httpx.Headers
    body: bytes
    at: float


class ScriptedTransport(httpx.AsyncBaseTransport):
    """Gives one response per request, in order, and the last one to all further requests."""

    def __init__(self, *responses: ScriptedResponse) -> None:
        self._responses = responses
        self.arrivals: list[Arrival] = []

    @property
    def pauses(self) -> list[float]:
        """The seconds between each two arrivals."""
        times = [arrival.at for arrival in self.arrivals]
        return [later - earlier for earlier, later in pairwise(times)]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = self._responses[min(len(self.arrivals), len(self._responses) - 1)]
        # An attempt that gets no connection sends nothing.
        body = b"" if isinstance(response, NO_CONNECTION) else await request.aread()
        self.arrivals.append(
            Arrival(request.method, str(request.url), request.headers.copy(), body, trio.current_time())
        )
        match response:
            case httpx.Response():
                # A copy: a response can be read once only, and this one may be given to many requests.
                body = httpx.ByteStream(response.content)
                return httpx.Response(response.status_code, headers=response.headers, stream=body)
            case Exception():
                raise response
            case _:
                return await response(request)


def status(code: int, body: bytes = b"", **headers: str) -> httpx.Response:
    """A response with this status; `Retry_After="2"` adds a header."""
    return httpx.Response(
        code, content=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def json(value: object, code: int = 200) -> httpx.Response:
    """A response with a JSON body."""
    return httpx.Response(code, content=msgspec.json.encode(value))


async def hang(_: httpx.Request) -> httpx.Response:
    """Never respond."""
    await trio.sleep_forever()
    raise AssertionError


class _Drip(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await trio.sleep(1)


async def drip(_: httpx.Request) -> httpx.Response:
    """A response whose body never ends: one byte per second."""
    return httpx.Response(200, stream=_Drip())
