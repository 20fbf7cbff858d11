"""Logins to an API server: fetched when needed, renewed before they expire and after a 401.

All requests share one login. They wait while it is fetched, so only one fetch runs at a time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import httpx
import msgspec
import trio

from trioworker.errors import WorkerError
from trioworker.protocol.control_characters import escape_line
from trioworker.protocol.url_passwords import hide_url_passwords

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

UNAUTHORIZED = 401
FETCH_PAUSE = 5.0
"""Seconds without another fetch after a failed one, or one for a 401: hundreds of requests would repeat it."""


class LoginError(WorkerError):
    """There are no valid credentials at the moment. The message is one line without secrets."""

    def __init__(self, message: str) -> None:
        super().__init__(escape_line(hide_url_passwords(message)))


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials of a request.

    Attributes:
        authorization: the header's value.
        certificate: a PEM client certificate with its key.
        expires: the trio time from which another login is needed.
    """

    authorization: str | None = None
    certificate: bytes | None = None
    expires: float = math.inf

    def __repr__(self) -> str:
        return f"Login(expires={self.expires})"

    def proves_the_same(self, other: Login) -> bool:
        """Whether the credentials are the same, whatever their expiry."""
        return (self.authorization, self.certificate) == (other.authorization, other.certificate)


class LoginSource(Protocol):
    """Where logins come from."""

    async def fetch(self) -> Login:
        """Return a login.

        Raises:
            LoginError: there is none.
        """
        ...


class LoginAuth(httpx.Auth):
    """Adds the login to all requests of a client. A request raises `LoginError` if there is none.

    After a 401, a request is repeated once with a new login. If that is refused, the caller gets the second 401.
    """

    def __init__(self, source: LoginSource, install: Callable[[bytes], Awaitable[None]]) -> None:
        """`install` is called with each certificate to use from then on."""
        self._source = source
        self._install = install
        self._lock = trio.Lock()
        self._login: Login | None = None
        self._failure = ""
        self._pause_until = -math.inf

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """See `httpx.Auth`."""
        used = await self.login()
        response = yield _signed(request, used)
        if response.status_code == UNAUTHORIZED:
            renewed = await self.login(refused=used)
            if not renewed.proves_the_same(used):
                yield _signed(request, renewed)

    async def login(self, refused: Login | None = None) -> Login:
        """Return the current login, or another one if that is `refused`.

        Raises:
            LoginError: there is none.
        """
        async with self._lock:
            usable = None if self._login is refused else self._login
            if usable is not None and trio.current_time() < usable.expires:
                return usable
            if trio.current_time() >= self._pause_until:
                await self._fetch(pause=self._login is not None and usable is None)
            if self._failure and usable is None:
                raise LoginError(self._failure)
            # The server decides whether an expired login is still valid. A 401 makes it unusable.
            assert self._login is not None  # noqa: S101 - without a login, there was a fetch or there is a failure
            return self._login

    async def _fetch(self, *, pause: bool) -> None:
        try:
            login = await self._source.fetch()
        except LoginError as error:
            self._failure = str(error)
            self._pause_until = trio.current_time() + FETCH_PAUSE
            return
        if login.certificate is not None and (self._login is None or login.certificate != self._login.certificate):
            await self._install(login.certificate)
        self._login, self._failure = login, ""
        self._pause_until = trio.current_time() + FETCH_PAUSE if pause else -math.inf


def _signed(request: httpx.Request, login: Login) -> httpx.Request:
    if login.authorization is not None:
        request.headers["Authorization"] = login.authorization
    return request
