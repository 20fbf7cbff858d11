"""Connects a fleet to the management API of its orchestrator, which may be on another machine."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx

from trioworker.errors import ConfigError
from trioworker.fleet.job_status import HttpJobStatusClient
from trioworker.protocol.certificates import client_context
from trioworker.protocol.loopback import names_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

TIMEOUT = 10.0
"""Seconds for each operation of a request."""


def check_secret_stays_private(url: str) -> None:
    """Refuse to send the secret over plain HTTP to another machine.

    Raises:
        ConfigError: `url`, the orchestrator's, would need that.
    """
    if not url.lower().startswith("https:") and not names_loopback(url):
        raise ConfigError(
            f"--orchestrator-url {url}: plain HTTP would expose the orchestrator's secret on the network; use an "
            "https:// URL, or a tunnel to a port of this machine (kubectl port-forward, ssh -L)"
        )


@asynccontextmanager
async def open_job_status(url: str, secret: str | None) -> AsyncGenerator[HttpJobStatusClient]:
    """Open a client that sends the secret, if there is one, only to the orchestrator at `url`.

    It trusts the certificates that workers trust, and ignores proxies, as they do.

    Raises:
        ConfigError: a variable names certificates that can't be used.
    """
    try:
        tls = client_context(os.environ)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    admin = None if secret is None else (url, secret)
    async with httpx.AsyncClient(timeout=httpx.Timeout(TIMEOUT), verify=tls, trust_env=False) as client:
        yield HttpJobStatusClient(client, admin)
