"""`trioworker orchestrator`: serves jobs to workers until it gets a signal."""

from __future__ import annotations

import resource
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import trio

from trioworker.observability.notices import print_notice
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.factory import NoBackend, open_backend
from trioworker.orchestrator.server import bind, serve
from trioworker.orchestrator.store import Store
from trioworker.supervision.stop_signals import open_stop_receiver

if TYPE_CHECKING:
    import socket

    from trioworker.orchestrator.backends.base import Backend
    from trioworker.orchestrator.config import OrchestratorConfig


def run_orchestrator(config: OrchestratorConfig) -> int:
    """Serve until a signal, and return the exit code. Prints the URL to stderr.

    Raises:
        ConfigError: the model, the database or the address can't be used.
    """
    _raise_open_files_limit()
    backend = NoBackend() if config.llm is None else open_backend(config.llm, config.model)
    with Store(config.database) as store, bind(config.host, config.port) as sock:
        return trio.run(_serve_until_signalled, store, backend, sock)


def _raise_open_files_limit() -> None:
    """Raise the soft limit to the hard one: each running job holds a connection, and the usual limit is 1024."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))


async def _serve_until_signalled(store: Store, backend: Backend, sock: socket.socket) -> int:
    async with aclosing(backend), trio.open_nursery() as nursery:
        with open_stop_receiver() as signals:
            url: str = await nursery.start(serve, make_app(store, backend), sock)
            print_notice(f"listening on {url}")
            await anext(signals)
            nursery.cancel_scope.cancel()
    return 0
