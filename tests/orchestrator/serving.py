"""An orchestrator over real HTTP, and a model that gives one reply."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import trio

from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.factory import NoBackend
from trioworker.orchestrator.management_access import ManagementAccess
from trioworker.orchestrator.server import bind, serve
from trioworker.orchestrator.store import Store
from trioworker.orchestrator.web.pages import Pages

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.applications import Starlette

    from trioworker.orchestrator.backends.base import Backend


ADMIN_TOKEN = "admin-token-of-the-tests"
ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


def pages_of(store: Store) -> Pages:
    """The page and the management API, with `ADMIN_TOKEN`."""
    return Pages(store, ManagementAccess(ADMIN_TOKEN))


class Orchestrator:
    """A running orchestrator: its store, URL and client."""

    def __init__(self, store: Store, url: str, client: httpx.AsyncClient) -> None:
        self.store = store
        self.url = url
        self.client = client

    async def new_job(self, **fields: Any) -> Worker:
        response = await self.client.post("/jobs", json={"description": "fix it", **fields})
        assert response.status_code == 201, response.text
        job: dict[str, str] = response.json()
        return Worker(self.client, job["id"], job["token"])


class Worker:
    """A worker's requests for one job."""

    def __init__(self, client: httpx.AsyncClient, job_id: str, token: str) -> None:
        self.client = client
        self.id = job_id
        self.token = token

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(f"/worker/{self.id}/{path}", headers=self.headers)

    async def post(self, path: str, body: object) -> httpx.Response:
        return await self.client.post(f"/worker/{self.id}/{path}", json=body, headers=self.headers)

    async def event(self, seq: int, event_type: str = "status", **data: object) -> httpx.Response:
        return await self.post("event", {"event_type": event_type, "data": {"seq": seq, **data}})

    async def complete(self, *, success: bool = True, message: str | None = "done") -> httpx.Response:
        return await self.post("complete", {"success": success, "message": message, "iterations": 3})

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@asynccontextmanager
async def serving(app: Starlette, host: str = "127.0.0.1") -> AsyncGenerator[str]:
    """An application under Hypercorn, on a free port."""
    async with trio.open_nursery() as nursery:
        url: str = await nursery.start(serve, app, bind(host, 0))
        yield url
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def orchestrator(backend: Backend | None = None, host: str = "127.0.0.1") -> AsyncGenerator[Orchestrator]:
    """An orchestrator with an in-memory database; its client knows the secret."""
    with Store() as store:
        async with serving(make_app(store, backend or NoBackend(), pages_of(store)), host) as url:
            timeout = httpx.Timeout(10.0)
            async with httpx.AsyncClient(base_url=url, timeout=timeout, trust_env=False, headers=ADMIN) as client:
                yield Orchestrator(store, url, client)
