"""The choice of the HTTP implementation.

Plain HTTP, which orchestrators use with their containers, goes over h11 and trio's sockets (`plain_http.py`). HTTPS and
transports that a test or a harness passes go over httpx (`over_httpx.py`), which is imported only then: importing it
takes a third of a worker's start, and a request takes three times as long.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trioworker.errors import OrchestratorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from trioworker.worker.client.exchange import Connection

_PLAIN_URL = r"http://([\w.-]+|\[[\da-fA-F:.]+\])(:\d{1,5})?/[\w./~%-]*"
"""URLs that aren't plain ASCII go over httpx, which implements the rules for encoding their names and paths."""


def open_connection(
    base: str, headers: Mapping[str, str], transport: httpx.AsyncBaseTransport | None = None
) -> Connection:
    """The connections to the URL `base`, which ends with a slash. `headers` are sent with every request.

    Raises:
        OrchestratorError: the URL is invalid.
    """
    try:
        # `urlsplit` validates the port when it is read.
        _ = urlsplit(base).port
    except ValueError as error:
        raise OrchestratorError(f"{base}: {error}") from error
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
    if transport is None and re.fullmatch(_PLAIN_URL, base, re.ASCII):
        from trioworker.worker.client.plain_http import PlainConnection

        return PlainConnection(base, headers)
    from trioworker.worker.client.over_httpx import HttpxConnection

    return HttpxConnection(base, headers, transport)
