"""The choice of the HTTP implementation.

Real connections use h11 and trio's sockets (`over_sockets.py`), without a proxy: variables such as `HTTP_PROXY` are for
the internet, and the orchestrator is close to the container. Transports that a test or a harness passes are those
of httpx (`over_httpx.py`), which is imported only then: importing it takes a third of a worker's start, and a request
takes three times as long.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trioworker.errors import ConfigError, OrchestratorError
from trioworker.protocol.certificates import client_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from trioworker.worker.client.exchange import Connection

_ASCII_URL = r"https?://([\w.-]+|\[[\da-fA-F:.]+\])(:\d{1,5})?/[\w./~%-]*"


def open_connection(
    base: str, headers: Mapping[str, str], transport: httpx.AsyncBaseTransport | None = None
) -> Connection:
    """The connections to the URL `base`, which ends with a slash. `headers` are sent with every request.

    Raises:
        OrchestratorError: the URL is invalid.
        ConfigError: a variable names certificates that can't be used.
    """
    try:
        # `urlsplit` validates the port when it is read.
        _ = urlsplit(base).port
    except ValueError as error:
        raise OrchestratorError(f"{base}: {error}") from error
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
    if transport is not None:
        from trioworker.worker.client.over_httpx import HttpxConnection

        return HttpxConnection(base, headers, transport)
    from trioworker.worker.client.over_sockets import SocketConnection

    if not base.startswith("https:"):
        return SocketConnection(_encoded(base), headers)
    try:
        tls = client_context(os.environ)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return SocketConnection(_encoded(base), headers, tls)


def _encoded(url: str) -> str:
    """The URL in ASCII, by httpx's rules for the encoding of names and paths."""
    if re.fullmatch(_ASCII_URL, url, re.ASCII):
        return url
    import httpx

    try:
        return str(httpx.URL(url))
    except (httpx.InvalidURL, UnicodeError) as error:
        raise OrchestratorError(f"{url}: {error}") from error
