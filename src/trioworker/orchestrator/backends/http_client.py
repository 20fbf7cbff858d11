"""The HTTP client for a model server: its time-outs, trusted certificates and proxy."""

from __future__ import annotations

import ipaddress
import os
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import trio

from trioworker.errors import ConfigError
from trioworker.protocol.certificates import client_context

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_TIMEOUT = 30.0
"""Seconds to connect to the server, including the name lookup: a name server that is down delays that by 5 s for each
search domain. A reply has no time limit here: the worker limits each attempt, and the request is cancelled when it
gives up.
"""


def open_client(
    base: str, headers: Mapping[str, str], transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """A client for URLs that start with `base`. Connects on the first request, or asks `transport`.

    Raises:
        ConfigError: a variable names certificates or a proxy that can't be used.
    """
    try:
        tls = client_context(os.environ) if base.startswith("https:") else False
    except ValueError as error:
        raise ConfigError(str(error)) from error
    proxy = proxy_for(base)
    try:
        return httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),
            # Unlimited: httpcore leaks the slot of a request that is cancelled while it waits for a connection.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            transport=transport,
            verify=tls,
            proxy=proxy if transport is None else None,
            trust_env=False,
        )
    except ImportError as error:
        raise ConfigError(f"{_variables(base)}: a SOCKS proxy needs a package: pip install 'httpx[socks]'") from error
    except (ValueError, httpx.InvalidURL) as error:
        # The URL isn't quoted: it may contain a password.
        raise ConfigError(
            f"{_variables(base)}: not a usable proxy; use http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT"
        ) from error


async def look_up(base: str) -> None:
    """Wait for the name lookup of the host that a client for `base` connects to, whatever its result.

    A name server that is down delays a lookup by several seconds. That says nothing about the model server.
    """
    host = urlsplit(proxy_for(base) or base).hostname
    with suppress(OSError, UnicodeError):
        await trio.socket.getaddrinfo(host, None)


def proxy_for(url: str) -> str | None:
    """The proxy for a URL, from the variables that most programs use; None to connect directly.

    They are `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in lower or upper case. This machine is always
    reached directly.
    """
    parts = urlsplit(url)
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or _is_loopback(parts.hostname or "") or urllib.request.proxy_bypass(parts.netloc):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _variables(url: str) -> str:
    return f"{urlsplit(url).scheme.upper()}_PROXY or ALL_PROXY"
