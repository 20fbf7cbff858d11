"""Access to the management API and the page: programs that know the secret, and browsers of this machine.

A job's command can read the user's files and connect to this machine. Without a secret it could list jobs, stop
them and send prompts. A program sends the secret as a bearer token, from any machine. A browser exchanges the secret
in the page's URL for a cookie, which only works on this machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from trioworker.orchestrator.tokens import digest_of, matches
from trioworker.protocol.loopback import is_loopback, names_loopback

if TYPE_CHECKING:
    from starlette.requests import Request

REFUSAL = "a secret is required: use the URL with ?token=… that was printed on stderr when this orchestrator started"
"""The answer to a request without the secret; the page shows it too."""
WRONG = "the secret is wrong: send the one in --admin-token-file, or in the URL that this orchestrator printed"
"""The answer to a program, which may be on another machine."""

OTHER_SITES = {"cross-site", "same-site"}
"""Values of Sec-Fetch-Site (W3C, 'Fetch Metadata Request Headers') in requests made by another origin's page."""


class ManagementAccess:
    """Checks requests for the secret, of which only the digest is kept."""

    def __init__(self, token: str) -> None:
        self._digest = digest_of(token)

    def check(self, request: Request) -> None:
        """Allow programs that send the secret, browsers of this machine that have its cookie, and no foreign web page.

        Raises:
            HTTPException: 403, 401, or 415 if a POST has another content type than JSON.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            # Browsers add cookies to the requests of any web page, but only a program that knows the secret sends it
            # here. So the request may come from another machine, through a proxy or a tunnel with any Host header.
            _check_site(request)
            self._check_token(token.strip(), WRONG)
        else:
            check_origin(request)
            self._check_token(request.cookies.get(_cookie_name(request), ""))
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

    def _check_token(self, token: str, refusal: str = REFUSAL) -> None:
        if not matches(token, self._digest):
            raise HTTPException(401, refusal, {"WWW-Authenticate": "Bearer"})


def _cookie_name(request: Request) -> str:
    """Cookies don't distinguish ports: each orchestrator on this machine needs its own name."""
    _, port = request.scope.get("server") or ("", 0)
    return f"trioworker-{port}"


def check_origin(request: Request) -> None:
    """Refuse other machines and foreign web pages.

    A web page could use a host name that resolves to 127.0.0.1 (DNS rebinding) or post a form across sites. It can't
    forge `Host` and `Origin`. The listening address doesn't matter: workers may connect from containers, with the
    tokens of their jobs.

    Raises:
        HTTPException: 403.
    """
    if request.client is None or not is_loopback(request.client.host):
        raise HTTPException(403, "from another machine, send the orchestrator's secret as Authorization: Bearer")
    host = request.headers.get("host", "")
    if not names_loopback(f"//{host}"):
        raise HTTPException(403, "the Host header names another machine; use 127.0.0.1 or localhost")
    _check_site(request)


def _check_site(request: Request) -> None:
    origin = request.headers.get("origin")
    if origin is not None and not names_loopback(origin):
        raise HTTPException(403, "a web page of another site may not manage jobs")
    # Browsers send it with each request; another port is the same site. Following a link to the page is harmless.
    if request.headers.get("sec-fetch-site") in OTHER_SITES and request.headers.get("sec-fetch-mode") != "navigate":
        raise HTTPException(403, "a web page of another site may not manage jobs")
