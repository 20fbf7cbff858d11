"""Access to the management API and the page: programs of this machine that know the secret.

A job's command can read the user's files and connect to this machine. Without a secret it could list jobs, stop
them and send prompts. A browser exchanges the secret in the page's URL for a cookie.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from trioworker.orchestrator.tokens import digest_of, matches

if TYPE_CHECKING:
    from starlette.requests import Request

REFUSAL = "a secret is required: use the URL with ?token=… that was printed on stderr when this orchestrator started"
"""The answer to a request without the secret; the page shows it too."""

OTHER_SITES = {"cross-site", "same-site"}
"""Values of Sec-Fetch-Site (W3C, 'Fetch Metadata Request Headers') in requests made by another origin's page."""


class ManagementAccess:
    """Checks requests for the secret, of which only the digest is kept."""

    def __init__(self, token: str) -> None:
        self._digest = digest_of(token)

    def check(self, request: Request) -> None:
        """Allow programs of this machine with the secret, and no foreign web page in a browser of this machine.

        Raises:
            HTTPException: 403, 401, or 415 if a POST has another content type than JSON.
        """
        check_origin(request)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        self._check_token(
            token.strip() if scheme.lower() == "bearer" else request.cookies.get(_cookie_name(request), "")
        )
        # A form of another site can't send JSON.
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method == "POST" and media_type != "application/json":
            raise HTTPException(415, "send the body as Content-Type: application/json")

    def login(self, request: Request) -> Response | None:
        """Exchange the token in the URL for a cookie, by a redirect to the URL without it. None: the URL has no token.

        The address bar, the history of the tab and referrers don't keep the token. A browser keeps the fragment.

        Raises:
            HTTPException: 403, or 401 if the token is wrong.
        """
        token = request.query_params.get("token")
        if token is None:
            return None
        check_origin(request)
        self._check_token(token)
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(_cookie_name(request), token, httponly=True, samesite="strict")
        return response

    def _check_token(self, token: str) -> None:
        if not matches(token, self._digest):
            raise HTTPException(401, REFUSAL, {"WWW-Authenticate": "Bearer"})


def _cookie_name(request: Request) -> str:
    """Cookies don't distinguish ports: each orchestrator on this machine needs its own name."""
    _, port = request.scope.get("server") or ("", 0)
    return f"trioworker-{port}"


def check_origin(request: Request) -> None:
    """Refuse other machines and foreign web pages.

    A web page could use a host name that resolves to 127.0.0.1 (DNS rebinding) or post a form across sites. It can't
    forge `Host` and `Origin`. The listening address doesn't matter: workers may connect from containers, with the
    tokens of their jobs, but jobs are only managed from this machine.

    Raises:
        HTTPException: 403.
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
