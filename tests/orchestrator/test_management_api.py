"""The management API over real HTTP."""

from __future__ import annotations

import socket
from typing import Any

import msgspec
import pytest
import trio

from orchestrator.serving import Orchestrator, Worker, orchestrator


def sse(text: str) -> list[tuple[str | None, str, dict[str, Any]]]:
    """Each server-sent event: id, type and data."""
    events: list[tuple[str | None, str, dict[str, Any]]] = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if fields:
            events.append((fields.get("id"), fields["event"], msgspec.json.decode(fields["data"])))
    return events


async def ended_job(server: Orchestrator, events: int = 3) -> Worker:
    worker = await server.new_job()
    for seq in range(events):
        await worker.event(seq, message=f"line\nbreak {seq}")
    await worker.complete()
    return worker


async def test_only_the_creation_response_contains_the_token() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        await worker.event(0)
        await worker.complete()
        pages = [await server.client.get(path) for path in ("/jobs", f"/jobs/{worker.id}", f"/jobs/{worker.id}/events")]

        assert [page.status_code for page in pages] == [200, 200, 200]
        assert not any(worker.token in page.text for page in pages)


async def test_a_job_shows_its_current_state_and_report() -> None:
    async with orchestrator() as server:
        worker = await server.new_job(title="Fix")
        url = f"/jobs/{worker.id}"
        assert (await server.client.get(url)).json()["state"] == "pending"

        await worker.post("status", {"state": "in_progress", "message": "Iteration 6", "iteration": 6})
        running = (await server.client.get(url)).json()
        assert (running["state"], running["iteration"], running["status"]) == ("in_progress", 6, "Iteration 6")
        assert (running["report"], running["ended"]) == (None, None)

        await worker.event(0, "result", success=False, status="stuck", message="no")
        await worker.complete(success=False, message="Execution failed: no")
        ended = (await server.client.get(url)).json()
        assert ended["state"] == "stuck"
        assert ended["report"] == {"success": False, "message": "Execution failed: no", "iterations": 3}


async def test_jobs_are_listed_newest_first() -> None:
    async with orchestrator() as server:
        created = [(await server.new_job(title=title)).id for title in "abc"]

        assert [job["id"] for job in (await server.client.get("/jobs")).json()["jobs"]] == created[::-1]


async def test_a_stream_delivers_events_live_until_the_end() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        lines: list[str] = []
        seen = trio.Event()

        async def follow() -> None:
            async with server.client.stream("GET", f"/jobs/{worker.id}/events") as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                async for line in stream.aiter_lines():
                    lines.append(line)
                    seen.set()

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(follow)
                await worker.event(0, "message", role="assistant", content="hello")
                await seen.wait()
                await worker.event(1)
                await worker.complete()

        events = sse("\n".join(lines) + "\n")
        assert [(number, kind) for number, kind, _ in events] == [("1", "message"), ("2", "status"), (None, "end")]
        assert events[0][2]["data"]["content"] == "hello"
        assert events[2][2]["state"] == "completed"


async def test_a_stream_resumes_after_last_event_id() -> None:
    async with orchestrator() as server:
        worker = await ended_job(server)
        url = f"/jobs/{worker.id}/events"
        resumed = await server.client.get(url, headers={"Last-Event-ID": "2"})
        at_end = await server.client.get(url, headers={"Last-Event-ID": "3"})

        assert [number for number, _, _ in sse(resumed.text)] == ["3", None]
        assert [kind for _, kind, _ in sse(at_end.text)] == ["end"]
        assert (await server.client.get(url, headers={"Last-Event-ID": "x"})).status_code == 400


async def test_a_stream_delivers_a_long_history_completely() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        for seq in range(1200):
            server.store.add_event(worker.id, "status", {"seq": seq})
        await worker.complete()
        events = sse((await server.client.get(f"/jobs/{worker.id}/events")).text)

        assert [data["data"]["seq"] for number, _, data in events if number] == list(range(1200))


async def test_an_event_type_with_line_breaks_cannot_forge_an_event() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        await worker.event(0, "status\n\nid: 99\nevent: end")
        await worker.complete()
        events = sse((await server.client.get(f"/jobs/{worker.id}/events")).text)

        assert [number for number, _, _ in events] == ["1", None]


async def test_an_unknown_job_is_404_and_an_ended_job_refuses_prompts() -> None:
    async with orchestrator() as server:
        worker = await ended_job(server)
        for path in ("/jobs/none", "/jobs/00000000-0000-4000-8000-000000000000", "/jobs/none/events"):
            assert (await server.client.get(path)).status_code == 404
        assert (await server.client.post("/jobs/none/prompt", json={"content": "x"})).status_code == 404
        assert (await server.client.post(f"/jobs/{worker.id}/prompt", json={"content": "x"})).status_code == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"description": 1}, 422),
        ({"description": "x", "credentials": {"A": "b"}}, 422),
        ({"description": "x", "desc": 1}, 422),
    ],
)
async def test_an_invalid_new_job_is_refused(body: dict[str, Any], status: int) -> None:
    async with orchestrator() as server:
        assert (await server.client.post("/jobs", json=body)).status_code == status
        assert (await server.client.get("/jobs")).json() == {"jobs": []}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Origin": "http://localhost:3000"}, 201),
        ({"Content-Type": "application/json; charset=utf-8"}, 201),
    ],
)
async def test_a_foreign_web_page_cannot_create_jobs(headers: dict[str, str], status: int) -> None:
    async with orchestrator() as server:
        sent = {"Content-Type": "application/json", **headers}
        response = await server.client.post("/jobs", content=b'{"description": "x"}', headers=sent)

        assert response.status_code == status


async def test_workers_and_programs_with_the_secret_connect_from_another_address() -> None:
    address = _external_address()
    if address is None:
        pytest.skip("this machine has only loopback addresses")
    async with orchestrator(host="0.0.0.0") as server:  # noqa: S104 - the test needs an external address
        url = f"http://{address}:{server.url.rpartition(':')[2]}"
        created = await server.client.post(f"{url}/jobs", json={"description": "x"})
        job: dict[str, str] = created.json()
        headers = {"Authorization": f"Bearer {job['token']}"}

        assert created.status_code == 201
        assert (await server.client.get(f"{url}/jobs", headers=headers)).status_code == 401
        assert (await server.client.get(f"{url}/openapi.json")).status_code == 403
        assert (await server.client.get(f"{url}/worker/{job['id']}/job", headers=headers)).status_code == 200


def _external_address() -> str | None:
    """An IPv4 address of this machine other than loopback. Connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") else address
