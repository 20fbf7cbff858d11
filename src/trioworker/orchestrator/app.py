"""The orchestrator as an ASGI application: worker API, management API, page, and `/health`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from trioworker.orchestrator.management_api import ManagementApi
from trioworker.orchestrator.web.pages import Pages
from trioworker.orchestrator.worker_api import WorkerApi

if TYPE_CHECKING:
    from starlette.requests import Request

    from trioworker.orchestrator.backends.base import Backend
    from trioworker.orchestrator.store import Store


def make_app(store: Store, backend: Backend, pages: Pages | None = None) -> Starlette:
    """The application over one store and one model. Errors are answered with one line of text.

    Pass `pages` to register a worker that runs in this process (`Pages.local`).
    """
    return Starlette(
        routes=[
            Route("/health", _health, methods=["GET"]),
            *WorkerApi(store, backend).routes(),
            *ManagementApi(store).routes(),
            *(pages or Pages(store)).routes(),
        ],
    )


async def _health(_: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")
