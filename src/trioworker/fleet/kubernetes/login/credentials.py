"""Logins at an API server: fetched when they are needed, renewed before they expire and after a 401.

All requests share one login. While it is fetched, they wait, so that there is one fetch at a time.
"""

from __future__ import annotations

import math
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import httpx
import msgspec
import trio

from trioworker.errors import WorkerError
from trioworker.fleet.kubernetes.login.kubeconfig_file import read_file
from trioworker.fleet.kubernetes.login.tls import check_certificate, decode_base64
from trioworker.protocol.control_characters import escape_line
from trioworker.protocol.url_passwords import hide_url_passwords
from trioworker.protocol.values import bearer_token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from trioworker.fleet.kubernetes.login.kubeconfig_file import User

UNAUTHORIZED = 401
READ_INTERVAL = 50.0
"""Seconds after which token and certificate files are read again: client-go's minute, less its margin of 10 s."""
FETCH_PAUSE = 5.0
"""Seconds without a fetch after one that failed, or one for a 401: requests by the hundred would repeat it."""


class LoginError(WorkerError):
    """There are no valid credentials at the moment. The message is one line, and contains no secret."""

    def __init__(self, message: str) -> None:
        super().__init__(escape_line(hide_url_passwords(message)))


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """What proves who we are.

    Attributes:
        authorization: the header's value.
        certificate: a PEM client certificate with its key.
        expires: trio's time from which another login is needed.
    """

    authorization: str | None = None
    certificate: bytes | None = None
    expires: float = math.inf

    def __repr__(self) -> str:
        return f"Login(expires={self.expires})"

    def proves_the_same(self, other: Login) -> bool:
        """Whether it differs in its time only."""
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
    """Logs in all requests of a client. A request raises `LoginError` if there is no login.

    After a 401, a request is repeated once with a new login. If that is refused, the caller gets the second 401.
    """

    def __init__(self, source: LoginSource, install: Callable[[bytes], Awaitable[None]]) -> None:
        """`install` is called with each certificate that is to be used from then on."""
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
            current = self._login
            usable = current is not None and current is not refused
            if current is not None and usable and trio.current_time() < current.expires:
                return current
            if trio.current_time() >= self._pause_until:
                await self._fetch(pause=current is not None and not usable)
            if self._failure and not usable:
                raise LoginError(self._failure)
            # An expired one may still do: the server decides. Its 401 makes it unusable.
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


class UserLogin:
    """The login of a kubeconfig's user without a plugin: its values, or files, which are read again."""

    def __init__(self, place: str, user: User) -> None:
        """`place` is the user's place, for errors."""
        self._place = place
        self._user = user

    async def fetch(self) -> Login:
        """See `LoginSource`."""
        if not any((self._user.token_file, self._user.client_certificate, self._user.client_key)):
            return self.read()
        login = await trio.to_thread.run_sync(self.read, abandon_on_cancel=True)
        return msgspec.structs.replace(login, expires=trio.current_time() + READ_INTERVAL)

    def read(self) -> Login:
        """Read the files, and return the login, which doesn't expire.

        Raises:
            LoginError: there is none.
        """
        return Login(authorization=self._authorization(), certificate=self._certificate())

    def _authorization(self) -> str | None:
        user = self._user
        if user.username or user.password:
            pair = f"{user.username or ''}:{user.password or ''}".encode(errors="replace")
            return f"Basic {b64encode(pair).decode()}"
        token = self._token()
        return None if token is None else f"Bearer {token}"

    def _token(self) -> str | None:
        user = self._user
        if user.token_file:
            try:
                return bearer_token(read_file(Path(user.token_file)).decode(errors="replace"))
            except ValueError as error:
                if not user.token:
                    raise self._error(f"tokenFile {user.token_file}", str(error)) from error
        if not user.token:
            return None
        try:
            return bearer_token(user.token)
        except ValueError as error:
            raise self._error("token", f"not {error}") from error

    def _certificate(self) -> bytes | None:
        user = self._user
        certificate = self._pem("client-certificate", user.client_certificate_data, user.client_certificate)
        key = self._pem("client-key", user.client_key_data, user.client_key)
        if certificate is None and key is None:
            return None
        if certificate is None or key is None:
            missing = "client-certificate" if certificate is None else "client-key"
            raise LoginError(f"{self._place}: {missing} is missing; add it, or remove the other one")
        pem = certificate + b"\n" + key
        try:
            check_certificate(pem)
        except ValueError as error:
            raise self._error("client-certificate and client-key", str(error)) from error
        return pem

    def _pem(self, name: str, data: str | None, path: str | None) -> bytes | None:
        try:
            # As the API reference says, the data take precedence.
            return decode_base64(data) if data else read_file(Path(path)) if path else None
        except ValueError as error:
            raise self._error(f"{name}-data" if data else f"{name} {path}", str(error)) from error

    def _error(self, field: str, problem: str) -> LoginError:
        return LoginError(f"{self._place}: {field}: {problem}; replace it, or log in to the cluster again")


def _signed(request: httpx.Request, login: Login) -> httpx.Request:
    if login.authorization is not None:
        request.headers["Authorization"] = login.authorization
    return request
