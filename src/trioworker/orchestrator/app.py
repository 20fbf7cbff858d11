"""The orchestrator as an ASGI application: worker API, management API, page, `/openapi.json` and `/health`."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from trioworker.orchestrator.database import DatabaseLockedError
from trioworker.orchestrator.database_failures import DatabaseFailures
from trioworker.orchestrator.management_api import ManagementApi
from trioworker.orchestrator.openapi import openapi_route
from trioworker.orchestrator.request_checks import WellFormedRequests
from trioworker.orchestrator.worker_api import WorkerApi

if TYPE_CHECKING:
    from starlette.requests import Request

    from trioworker.orchestrator.backends.base import Backend
    from trioworker.orchestrator.store import Store
    from trioworker.orchestrator.web.pages import Pages


def make_app(store: Store, backend: Backend, pages: Pages | None = None) -> Starlette:
    """The application over one store and one model. Errors are answered with one line of text.

    Without `pages`, it serves only workers: no job can be managed or watched.
    """
    management: list[Route] = []
    failures = DatabaseFailures()
    if pages is not None:
        management = [*ManagementApi(store, pages.access).routes(), openapi_route(), *pages.routes()]
    return Starlette(
        routes=[Route("/health", _health, methods=["GET"]), *WorkerApi(store, backend).routes(), *management],
        middleware=[Middleware(WellFormedRequests)],
        exception_handlers={sqlite3.Error: failures.answer, DatabaseLockedError: failures.answer},
    )


async def _health(_: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")
