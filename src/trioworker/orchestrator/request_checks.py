"""Checks before each handler: size and schema of the body, bearer token, and access to the management API."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from starlette.requests import Request

T = TypeVar("T")

MAX_BODY_BYTES = 2_097_152
"""Maximum size of a request body in bytes (contract, 'HTTP')."""
MAX_DRAINED_BYTES = 32 * 1024 * 1024
"""Bytes of a too large body that are read and discarded, so that the client finishes sending and reads the response."""

OTHER_SITES = {"cross-site", "same-site"}
"""Values of Sec-Fetch-Site (W3C, 'Fetch Metadata Request Headers') in requests made by another origin's page."""


async def read_body(request: Request, decoder: msgspec.json.Decoder[T]) -> T:
    """Read and decode the body.

    Raises:
        HTTPException: 413 if it is too large, 400 if it isn't JSON, 422 if it doesn't match the decoder's type.
    """
    kept = bytearray()
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= MAX_BODY_BYTES:
                kept += chunk
            elif size > MAX_DRAINED_BYTES:
                break
    except ClientDisconnect:
        # The client can't read this response; it ends the request without a traceback.
        raise HTTPException(400, "the client disconnected") from None
    if size > MAX_BODY_BYTES:
        raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    try:
        return decoder.decode(kept)
    except msgspec.ValidationError as error:
        raise HTTPException(422, f"the body is not valid for this request: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error


def bearer_token(request: Request) -> str:
    """The bearer token of the request.

    Raises:
        HTTPException: 401, there is none.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise HTTPException(401, "a bearer token is required")
    return token.strip()


def check_management(request: Request) -> None:
    """Allow only programs on this machine to manage jobs, and no foreign web page in a browser on this machine.

    A web page could use a host name that resolves to 127.0.0.1 (DNS rebinding) or post a form across sites. It can't
    forge `Host` and `Origin`, and a form can't send JSON. The listening address doesn't matter: workers may connect
    from containers, with tokens, but jobs are only managed from this machine.

    Raises:
        HTTPException: 403, or 415 if a POST has another content type than JSON.
    """
    if request.client is None or not is_loopback(request.client.host):
        raise HTTPException(403, "jobs can only be managed from this machine; use http://127.0.0.1")
    host = request.headers.get("host", "")
    if not _names_loopback(f"//{host}"):
        raise HTTPException(403, "the Host header names another machine; use 127.0.0.1 or localhost")
    origin = request.headers.get("origin")
    if origin is not None and not _names_loopback(origin):
        raise HTTPException(403, "a web page of another site may not manage jobs")
    # Browsers send it with each request; another port is the same site. Following a link to the page is harmless.
    if request.headers.get("sec-fetch-site") in OTHER_SITES and request.headers.get("sec-fetch-mode") != "navigate":
        raise HTTPException(403, "a web page of another site may not manage jobs")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "POST" and media_type != "application/json":
        raise HTTPException(415, "send the body as Content-Type: application/json")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is a loopback address."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _names_loopback(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False
