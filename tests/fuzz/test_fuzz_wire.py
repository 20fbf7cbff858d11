"""Responses of any kind: a request returns what the contract promises, or raises an `OrchestratorError` of one line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import httpx
import trio
from hypothesis import example, given
from hypothesis import strategies as st
from trio.testing import MockClock

from fuzz.foreign import bodies
from fuzz.profile import fuzzing
from support.requests import Request, ask_for_text, ask_with_tools, connect, post_event, send_report
from support.scripted_transport import ScriptedTransport
from trioworker.errors import OrchestratorError
from trioworker.worker.client.orchestrator_client import OrchestratorClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

REQUESTS: list[Request] = [
    OrchestratorClient.job,
    OrchestratorClient.credentials,
    OrchestratorClient.prompt,
    ask_for_text,
    ask_with_tools,
    post_event,
    send_report,
]
HEADER_NAMES = [
    b"Retry-After", b"Content-Type", b"Content-Encoding", b"Content-Length", b"Location", b"Set-Cookie", b"Date",
    b"Transfer-Encoding", b"Connection", b"X",
]  # fmt: skip
HEADER_VALUES = [
    b"1", b"-1", b"9" * 400, b"9" * 5000, b"gzip", b"gzip, gzip, deflate", b"br", b"utf-7", b"chunked", b"//", b"http://[",
    b"Mon, 01 Jan 2020 00:00:00 +99999999999999999999", b"Mon, 01 Jan 0001 00:00:00 GMT", b"Fri, 99 Foo 99999",
    b"a=b; expires=Mon, 01 Jan 99999 00:00:00 GMT", b"a=b; Max-Age=" + b"9" * 30, b"text/html; charset=\xff",
]  # fmt: skip
# No HTTP/1.1 client returns a header value with a line end or a NUL.
NOISE = st.binary(max_size=30).map(lambda value: bytes(byte for byte in value if byte >= 0x20 and byte != 0x7F))
HEADERS = st.lists(st.tuples(st.sampled_from(HEADER_NAMES), st.sampled_from(HEADER_VALUES) | NOISE), max_size=4)
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 299, 301, 302, 304, 307, 400, 401, 404, 413, 429, 500, 502, 599])


class Pieces(httpx.AsyncByteStream):
    """A body that arrives in pieces."""

    def __init__(self, body: bytes, size: int) -> None:
        self._body = body
        self._size = size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), self._size):
            yield self._body[start : start + self._size]


@fuzzing()
@given(st.sampled_from(REQUESTS), STATUSES, HEADERS, bodies(), st.integers(1, 100))
@example(REQUESTS[0], 503, [(b"Retry-After", b"Mon, 01 Jan 2020 00:00:00 +99999999999999999999")], b"", 1)
@example(REQUESTS[0], 503, [(b"Retry-After", "\u0661".encode())], b"", 1)
@example(REQUESTS[4], 200, [], b'{"input_tokens": 123456789012345678901234567890}', 100)
@example(REQUESTS[4], 200, [], b'{"content": "\\ud800"}', 100)
@example(REQUESTS[0], 200, [(b"Set-Cookie", b"\x80")], b"", 1)
@example(REQUESTS[0], 200, [(b"Content-Encoding", b"gzip, gzip")], b"{}", 1)
def test_any_response_ends_a_request_with_a_result_or_a_one_line_error(
    request: Request, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, size: int
) -> None:
    async def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers=list(headers), stream=Pieces(body, size))

    error = trio.run(partial(_failure, request, ScriptedTransport(answer)), clock=MockClock(autojump_threshold=0))
    assert error is None or len(str(error).splitlines()) == 1


async def _failure(request: Request, transport: httpx.AsyncBaseTransport) -> OrchestratorError | None:
    async with connect(transport) as client:
        try:
            await request(client)
        except OrchestratorError as error:
            return error
    return None
