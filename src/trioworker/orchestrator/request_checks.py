"""Checks before each handler: well-formed paths, queries and headers, the bearer token, and the body."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import unquote_to_bytes

import msgspec
import trio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse

from trioworker.protocol.values import ITERATION_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

T = TypeVar("T")

MAX_BODY_BYTES = 2_097_152
"""Maximum size of a request body in bytes (contract, 'HTTP')."""
MAX_DRAINED_BYTES = 32 * 1024 * 1024
"""Bytes of a too large body that are read and discarded, so that the client finishes sending and reads the response."""
BODY_TIMEOUT = 60.0
"""Seconds in which a body must arrive."""
MAX_INTEGER = 2**63 - 1
"""The largest integer of SQLite."""
MAX_DEPTH = 64
"""How deeply the data of an event may be nested: encoding and decoding recurse."""

# In JSON, NUL is an escape, after an even number of backslashes. Most bodies have none.
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class WellFormedRequests:
    """ASGI middleware: answers 400 if the path, the query or a header has NUL or isn't UTF-8."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        problem = _problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self.app(scope, receive, send)
        else:
            await PlainTextResponse(problem, 400)(scope, receive, send)


async def read_body(request: Request, decoder: msgspec.json.Decoder[T], *, allow_nul: bool = False) -> T:
    """Read and decode the body. `allow_nul`: its texts are passed on and not stored.

    Raises:
        HTTPException: 415 if it is compressed, 408 if it doesn't arrive, 413 if it is too large, 400 if it isn't JSON
            or has NUL, 422 if it doesn't match the decoder's type.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HTTPException(415, "a compressed body isn't accepted; send it without Content-Encoding")
    body = await _received(request)
    if not allow_nul and (b"\0" in body or (b"\\u0000" in body and _ESCAPED_NUL.search(body))):
        raise HTTPException(400, "the body is not accepted: a text has the character NUL")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise HTTPException(422, f"the body is not valid for this request: {error}") from error
    # ValueError: not UTF-8, or an integer of thousands of digits.
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error


def check_integer(value: int, field: str) -> int:
    """Return the value if the database can store it.

    Raises:
        HTTPException: 400.
    """
    if abs(value) > MAX_INTEGER:
        raise HTTPException(400, f"the body is not accepted: {field} is more than 64 bits long")
    return value


def check_depth(value: Any) -> None:
    """Refuse JSON that is nested more deeply than `MAX_DEPTH`.

    Raises:
        HTTPException: 400.
    """
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return
    raise HTTPException(400, f"the body is not accepted: it is nested more than {MAX_DEPTH} levels deep")


def bearer_token(request: Request) -> str:
    """The bearer token of the request.

    Raises:
        HTTPException: 401, there is none.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise HTTPException(401, "a bearer token is required")
    return token.strip()


def job_iteration(request: Request) -> int | None:
    """The job's iteration, as the worker states it in a header; None if it doesn't.

    Raises:
        HTTPException: 400, the header has no such number.
    """
    value = request.headers.get(ITERATION_HEADER)
    if value is None:
        return None
    if not re.fullmatch("[0-9]{1,9}", value):
        raise HTTPException(400, f"{ITERATION_HEADER}: expected a number")
    return int(value)


async def _received(request: Request) -> bytearray:
    kept = bytearray()
    size = 0
    try:
        with trio.move_on_after(BODY_TIMEOUT) as arriving:
            async for chunk in request.stream():
                size += len(chunk)
                if size <= MAX_BODY_BYTES:
                    kept += chunk
                elif size > MAX_DRAINED_BYTES:
                    break
    except ClientDisconnect:
        # The client can't read this response; it ends the request without a traceback.
        raise HTTPException(400, "the client disconnected") from None
    if arriving.cancelled_caught:
        raise HTTPException(408, f"the body did not arrive within {BODY_TIMEOUT:g} s")
    if size > MAX_BODY_BYTES:
        raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    return kept


def _problem(scope: Scope) -> str | None:
    parts = [("path", unquote_to_bytes(scope["raw_path"])), ("query", unquote_to_bytes(scope["query_string"]))]
    parts += [("header", part) for header in scope["headers"] for part in header]
    for name, part in parts:
        try:
            text = part.decode()
        except UnicodeDecodeError:
            return f"the {name} is not UTF-8"
        if "\0" in text:
            return f"the {name} has the character NUL"
    return None


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()
