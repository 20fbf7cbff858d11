"""The secret of the management API and the page: which requests have it, and how a browser gets its cookie."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from orchestrator.serving import ADMIN_TOKEN, Orchestrator, orchestrator, pages_of, serving
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.factory import NoBackend
from trioworker.orchestrator.store import Store
from trioworker.orchestrator.web.pages import FILES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

JOB = "{job}"
ROUTES = [
    *[("GET", path) for path in ("/", "/jobs", f"/jobs/{JOB}", f"/jobs/{JOB}/events", "/web/jobs")],
    *[("GET", path) for path in (f"/web/jobs/{JOB}/events", f"/web/jobs/{JOB}/timeline")],
    ("GET", f"/web/jobs/{JOB}/download"),
    *[("GET", f"/web/{name}") for name in FILES],
    *[("POST", path) for path in ("/jobs", f"/jobs/{JOB}/prompt", f"/web/jobs/{JOB}/stop")],
]
BODIES = {"/jobs": {"description": "x"}, f"/jobs/{JOB}/prompt": {"content": "x"}}


@asynccontextmanager
async def stranger(server: Orchestrator) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the orchestrator that doesn't know the secret."""
    async with httpx.AsyncClient(base_url=server.url, timeout=10.0, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("sent", ["nothing", "job's token", "wrong token", "shorter", "basic", "cookie"])
async def test_each_route_refuses_a_request_without_the_secret(sent: str) -> None:
    async with orchestrator() as server, stranger(server) as client:
        worker = await server.new_job()
        port = server.url.rpartition(":")[2]
        headers = {
            "nothing": {},
            "job's token": worker.headers,
            "wrong token": {"Authorization": "Bearer wrong"},
            "shorter": {"Authorization": f"Bearer {ADMIN_TOKEN[:-1]}"},
            "basic": {"Authorization": f"Basic {ADMIN_TOKEN}"},
            "cookie": {"Cookie": f"trioworker-{port}={worker.token}"},
        }[sent]
        for method, path in ROUTES:
            url, body = path.replace(JOB, worker.id), BODIES.get(path, {})
            json = body if method == "POST" else None
            response = await client.request(method, url, json=json, headers=headers)
            assert response.status_code == 401, path
            assert response.text.count("\n") == 0
            assert "?token=… that was printed on stderr" in response.text
        assert [job.id for job in server.store.views()] == [worker.id]
        assert server.store.take_prompt(worker.id) is None


async def test_a_url_with_the_token_is_exchanged_for_a_cookie_that_scripts_cannot_read() -> None:
    async with orchestrator() as server, stranger(server) as client:
        worker = await server.new_job()
        login = await client.get("/", params={"token": ADMIN_TOKEN})
        cookie = login.headers["set-cookie"]
        assert (login.status_code, login.headers["location"]) == (303, "/")
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
        assert "no-store" in login.headers["cache-control"]
        assert login.headers["referrer-policy"] == "no-referrer"

        await worker.complete()
        for method, path in ROUTES:
            url, body = path.replace(JOB, worker.id), BODIES.get(path, {})
            response = await client.request(method, url, json=body if method == "POST" else None)
            assert response.status_code in {200, 201, 409}, path


@pytest.mark.parametrize("token", ["", "wrong", ADMIN_TOKEN[1:], ADMIN_TOKEN + "\u00e9"])
async def test_a_url_with_a_wrong_token_is_refused_and_sets_no_cookie(token: str) -> None:
    async with orchestrator() as server, stranger(server) as client:
        login = await client.get("/", params={"token": token})
        assert (login.status_code, "set-cookie" in login.headers) == (401, False)


async def test_a_foreign_page_cannot_log_in() -> None:
    async with orchestrator() as server, stranger(server) as client:
        for headers in ({"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}):
            login = await client.get("/", params={"token": ADMIN_TOKEN}, headers=headers)
            assert (login.status_code, "set-cookie" in login.headers) == (403, False)


async def test_the_cookie_of_another_orchestrator_on_this_machine_stays() -> None:
    # Browsers send the cookies of 127.0.0.1 to each port.
    async with orchestrator() as first, orchestrator() as second, stranger(first) as client:
        await client.get("/", params={"token": ADMIN_TOKEN})
        await client.get(f"{second.url}/", params={"token": ADMIN_TOKEN})
        assert len(client.cookies) == 2
        assert (await client.get("/jobs")).status_code == 200


async def test_the_secret_gives_no_access_to_a_workers_requests() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        assert (await server.client.get(f"/worker/{worker.id}/credentials")).status_code == 401


async def test_without_pages_nothing_is_managed() -> None:
    with Store() as store:
        job = store.create_job("x", title="x")
        async with serving(make_app(store, NoBackend())) as url, httpx.AsyncClient(base_url=url) as client:
            for method, path in ROUTES:
                assert (await client.request(method, path.replace(JOB, job.id))).status_code == 404
            assert (await client.get("/health")).status_code == 200


def test_only_the_digest_of_the_secret_is_kept() -> None:
    with Store() as store:
        assert ADMIN_TOKEN not in repr(vars(pages_of(store).access))
