"""The secret of the management API and the page: which requests have it, and how a browser gets its cookie."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from orchestrator.serving import ADMIN, ADMIN_TOKEN, Orchestrator, orchestrator, pages_of, serving
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.factory import NoBackend
from trioworker.orchestrator.management_access import WRONG
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
            remedy = (
                "?token=… that was printed on stderr" if sent in {"nothing", "basic", "cookie"} else "is wrong: send"
            )
            assert remedy in response.text
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


@asynccontextmanager
async def from_elsewhere(store: Store, **headers: str) -> AsyncGenerator[httpx.AsyncClient]:
    """A client on another machine, which reaches the orchestrator through a proxy or directly."""
    transport = httpx.ASGITransport(make_app(store, NoBackend(), pages_of(store)), client=("203.0.113.7", 50000))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://orchestrator.example", headers=headers
    ) as client:
        yield client


async def test_a_program_elsewhere_manages_jobs_with_the_secret() -> None:
    with Store() as store:
        async with from_elsewhere(store, **ADMIN) as client:
            created = await client.post("/jobs", json={"description": "fix it"})
            assert created.status_code == 201
            path = f"/jobs/{created.json()['id']}"
            assert (await client.post(f"{path}/prompt", json={"content": "x"})).status_code == 202
            assert (await client.get(path)).json()["state"] == "pending"


@pytest.mark.parametrize("secret", ["wrong", "", ADMIN_TOKEN[:-1], f"{ADMIN_TOKEN}x", f"x{ADMIN_TOKEN[1:]}"])
async def test_each_wrong_secret_from_elsewhere_has_the_same_answer(secret: str) -> None:
    with Store() as store:
        async with from_elsewhere(store, Authorization=f"Bearer {secret}") as client:
            refused = await client.get("/jobs")
            assert (refused.status_code, refused.text) == (401, WRONG)


@pytest.mark.parametrize("sent", ["nothing", "cookie", "basic", "url"])
async def test_what_a_browser_sends_is_refused_from_elsewhere(sent: str) -> None:
    headers = {
        "nothing": {},
        "cookie": {"Cookie": f"trioworker-None={ADMIN_TOKEN}", "Host": "127.0.0.1"},
        "basic": {"Authorization": f"Basic {ADMIN_TOKEN}"},
        "url": {"Host": "127.0.0.1"},
    }[sent]
    with Store() as store:
        job = store.create_job("x", title="x")
        async with from_elsewhere(store, **headers) as client:
            for method, path in ROUTES:
                response = await client.request(
                    method,
                    path.replace(JOB, job.id),
                    params={"token": ADMIN_TOKEN} if sent == "url" else {},
                    json={} if method == "POST" else None,
                )
                assert (response.status_code, "set-cookie" in response.headers) == (403, False), path


@pytest.mark.parametrize("host", ["localhost:50051", "[::1]:50051", "127.0.0.2"])
async def test_a_browser_may_call_this_machine_by_any_of_its_own_names(host: str) -> None:
    async with orchestrator() as server, stranger(server) as client:
        port = server.url.rpartition(":")[2]
        headers = {"Host": host, "Cookie": f"trioworker-{port}={ADMIN_TOKEN}"}
        assert (await client.get("/jobs", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        *({"Host": host} for host in ("evil.example", "127.0.0.1.evil.example", "evil.example:50051", "[bad")),
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    ],
)
async def test_a_foreign_page_in_a_browser_with_the_cookie_is_refused(headers: dict[str, str]) -> None:
    async with orchestrator() as server, stranger(server) as client:
        job = await server.new_job()
        await client.get("/", params={"token": ADMIN_TOKEN})
        # httpx wouldn't send it to another host, as a browser does after DNS rebinding.
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        for method, path in ROUTES:
            url, body = path.replace(JOB, job.id), BODIES.get(path, {})
            json = body if method == "POST" else None
            response = await client.request(method, url, json=json, headers={**headers, "Cookie": cookie})
            assert response.status_code == 403, path


async def test_a_foreign_page_that_knows_the_secret_is_refused() -> None:
    with Store() as store:
        async with from_elsewhere(store, **ADMIN, Origin="https://evil.example") as client:
            assert (await client.get("/jobs")).status_code == 403


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
