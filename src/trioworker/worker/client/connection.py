"""Which kind of connection the orchestrator gets.

Plain HTTP, which is what orchestrators speak to their containers, goes over streams of our own (`plain.py`). HTTPS, and
a transport that a test or a harness hands in, go over httpx (`over_httpx.py`). It is imported for those alone: it takes
a third of a worker's start, and three times as long for a request.
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
"""What is not plain ASCII has rules of its own for names and paths, and httpx knows them."""


def open_connection(
    base: str, headers: Mapping[str, str], transport: httpx.AsyncBaseTransport | None = None
) -> Connection:
    """The connections to `base`, which ends with a slash. `headers` go with every request.

    Raises:
        OrchestratorError: nothing can be reached under this URL.
    """
    try:
        # Reading the port is what checks it.
        _ = urlsplit(base).port
    except ValueError as error:
        raise OrchestratorError(f"{base}: {error}") from error
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
    if transport is None and re.fullmatch(_PLAIN_URL, base, re.ASCII):
        from trioworker.worker.client.plain_http import PlainConnection

        return PlainConnection(base, headers)
    from trioworker.worker.client.over_httpx import HttpxConnection

    return HttpxConnection(base, headers, transport)
