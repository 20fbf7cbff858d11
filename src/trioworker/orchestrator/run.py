"""`trioworker orchestrator`: serves jobs to workers until it gets a signal."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import trio

from trioworker.linux.open_files import raise_open_files_limit
from trioworker.observability.notices import print_notice
from trioworker.orchestrator.announcement import print_secret_url
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.api_key import hide_secrets
from trioworker.orchestrator.backends.factory import NoBackend, open_backend
from trioworker.orchestrator.management_access import ManagementAccess
from trioworker.orchestrator.model_notice import model_notice
from trioworker.orchestrator.server import bind, serve
from trioworker.orchestrator.store import Store
from trioworker.orchestrator.tokens import new_token
from trioworker.orchestrator.web.pages import Pages
from trioworker.supervision.stop_signals import open_stop_receiver

if TYPE_CHECKING:
    import socket

    from trioworker.orchestrator.backends.base import Backend
    from trioworker.orchestrator.config import OrchestratorConfig


def run_orchestrator(config: OrchestratorConfig) -> int:
    """Serve until a signal, and return the exit code. Prints the URLs of workers and of the page to stderr.

    Raises:
        ConfigError: the model, its server, the database or the address can't be used.
    """
    raise_open_files_limit()
    backend = _open_backend(config)
    with Store(config.database) as store, bind(config.host, config.port) as sock:
        hide_secrets(config.api_key_variable)
        return trio.run(_serve_until_signalled, config.admin_token, store, backend, sock)


def _open_backend(config: OrchestratorConfig) -> Backend:
    if config.llm is None:
        return NoBackend()
    return open_backend(config.llm, config.model, api_key_variable=config.api_key_variable)


async def _serve_until_signalled(admin_token: str | None, store: Store, backend: Backend, sock: socket.socket) -> int:
    token = admin_token or new_token()
    app = make_app(store, backend, Pages(store, ManagementAccess(token)))
    async with aclosing(backend):
        notice = await model_notice(backend)
        async with trio.open_nursery() as nursery:
            with open_stop_receiver() as signals:
                url: str = await nursery.start(serve, app, sock)
                print_notice(f"listening on {url}")
                if admin_token is None:
                    print_secret_url("manage and watch jobs at", _local_url(url), token)
                del token
                if notice is not None:
                    print_notice(notice)
                await anext(signals)
                nursery.cancel_scope.cancel()
    return 0


def _local_url(url: str) -> str:
    """The URL on this machine, the only one that may manage jobs."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
