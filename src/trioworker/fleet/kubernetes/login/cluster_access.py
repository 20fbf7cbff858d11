"""A client of an API server that is logged in."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import msgspec

from trioworker.errors import ConfigError
from trioworker.fleet.kubernetes.login.credentials import LoginAuth, LoginError, LoginSource
from trioworker.fleet.kubernetes.login.tls import load_certificate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

MAX_IDLE_CONNECTIONS = 32


class ClusterAccess(msgspec.Struct, frozen=True, kw_only=True):
    """An API server, and how to log in.

    Attributes:
        server: its URL.
        tls: the settings of its connections.
        login: where logins come from; None: requests are sent without one.
        proxy: the URL of the proxy to use.
        impersonation: the headers that name the user to act as.
        namespace: that of the context or of the pod; None if neither names one.
        source: the files with these settings, for messages.
    """

    server: str
    tls: ssl.SSLContext
    login: LoginSource | None = None
    proxy: str | None = None
    impersonation: tuple[tuple[str, str], ...] = ()
    namespace: str | None = None
    source: str = ""

    def __repr__(self) -> str:
        return f"ClusterAccess(server={self.server!r}, source={self.source!r})"

    def transport(self) -> httpx.AsyncHTTPTransport:
        """Return new connections to the server.

        Raises:
            ImportError, ValueError, httpx.InvalidURL: the proxy can't be used.
        """
        return httpx.AsyncHTTPTransport(
            verify=self.tls,
            proxy=self.proxy,
            # Unlimited: httpcore leaks the slot of a request that is cancelled while it waits for a connection.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=MAX_IDLE_CONNECTIONS),
            trust_env=False,
        )

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[httpx.AsyncClient]:
        """Log in, and open a client; its requests raise `LoginError` while there is no login.

        Raises:
            ConfigError: the first login fails.
        """
        transport = RenewableTransport(self.transport)

        async def install(certificate: bytes) -> None:
            load_certificate(self.tls, certificate)
            await transport.renew()

        auth = None if self.login is None else LoginAuth(self.login, install)
        async with httpx.AsyncClient(
            base_url=self.server,
            transport=transport,
            auth=auth,
            headers=list(self.impersonation),
            timeout=None,  # noqa: S113 - each request has its own: see `ApiRequest`
            trust_env=False,
        ) as client:
            if auth is not None:
                try:
                    await auth.login()
                except LoginError as error:
                    raise ConfigError(str(error)) from error
            yield client


class RenewableTransport(httpx.AsyncBaseTransport):
    """Connections that can be replaced: a connection keeps the client certificate with which it was opened."""

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._make = make
        self._current = make()
        self._previous: httpx.AsyncBaseTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request over the newest connections."""
        return await self._current.handle_async_request(request)

    async def renew(self) -> None:
        """Use new connections from now on. Requests under way may finish until the next renewal."""
        oldest, self._previous, self._current = self._previous, self._current, self._make()
        if oldest is not None:
            await oldest.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        try:
            await self._current.aclose()
        finally:
            if self._previous is not None:
                await self._previous.aclose()
