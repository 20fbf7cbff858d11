"""What stands before every handler: the size of a body, its form, and who may speak to the management side."""

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
"""Bytes of a body (contract, 'HTTP')."""
MAX_DRAINED_BYTES = 32 * 1024 * 1024
"""Bytes of a body over the limit that are read and dropped, so that its sender is still there to read the refusal."""

OTHER_SITES = {"cross-site", "same-site"}
"""Values of Sec-Fetch-Site (W3C, 'Fetch Metadata Request Headers') of a request that another origin's page made."""


async def read_body(request: Request, decoder: msgspec.json.Decoder[T]) -> T:
    """The decoded body.

    Raises:
        HTTPException: 413 too large, 400 not JSON, 422 not what `decoder` reads.
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
        # Nobody reads this answer; it only ends the request without a traceback.
        raise HTTPException(400, "the client hung up") from None
    if size > MAX_BODY_BYTES:
        raise HTTPException(413, f"the body has over {MAX_BODY_BYTES} bytes")
    try:
        return decoder.decode(kept)
    except msgspec.ValidationError as error:
        raise HTTPException(422, f"the body is not what this request takes: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error


def bearer_token(request: Request) -> str:
    """The token that the request carries.

    Raises:
        HTTPException: 401, there is none.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise HTTPException(401, "a bearer token is needed")
    return token.strip()


def check_management(request: Request) -> None:
    """Let only programs of this machine manage jobs, and no web page that a browser of this machine shows.

    A page can name a host of its own that resolves to 127.0.0.1 (DNS rebinding), or post a form across sites; neither
    can forge `Host` and `Origin`, and a form can't send JSON. Where the orchestrator listens makes no difference:
    workers in containers come from elsewhere, with tokens; those who make jobs come from here.

    Raises:
        HTTPException: 403, or 415 for a body that is not called JSON.
    """
    if request.client is None or not is_loopback(request.client.host):
        raise HTTPException(403, "jobs are managed from this machine alone; use http://127.0.0.1")
    host = request.headers.get("host", "")
    if not _names_loopback(f"//{host}"):
        raise HTTPException(403, "the Host header names another machine; use 127.0.0.1 or localhost")
    origin = request.headers.get("origin")
    if origin is not None and not _names_loopback(origin):
        raise HTTPException(403, "a web page of another site may not manage jobs")
    # A browser tells it of each request; ports do not count as sites. Following a link to here is no attack.
    if request.headers.get("sec-fetch-site") in OTHER_SITES and request.headers.get("sec-fetch-mode") != "navigate":
        raise HTTPException(403, "a web page of another site may not manage jobs")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "POST" and media_type != "application/json":
        raise HTTPException(415, "send the body as Content-Type: application/json")


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine and no other."""
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
