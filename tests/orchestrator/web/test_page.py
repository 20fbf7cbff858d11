"""The page's routes over real HTTP: its files, access checks and event streams, and that no response has a token."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
import trio

from orchestrator.serving import ADMIN, Worker, orchestrator, pages_of, serving
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.factory import NoBackend
from trioworker.orchestrator.event_streams import StreamLimit
from trioworker.orchestrator.store import Store
from trioworker.orchestrator.web.pages import FILES
from trioworker.orchestrator.web.timeline import from_events
from trioworker.protocol.wire import Reply

if TYPE_CHECKING:
    from trioworker.orchestrator.web.pages import Pages

ServerEvent = tuple[str | None, str, Any]


def parsed(text: str) -> list[ServerEvent]:
    """The server-sent events that have a type: id, type and data."""
    events: list[ServerEvent] = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            events.append((fields.get("id"), fields["event"], msgspec.json.decode(fields["data"])))
    return events


def numbers(events: list[ServerEvent]) -> list[int]:
    return [int(number) for number, kind, _ in events if kind == "job-event" and number]


async def ended_job(worker: Worker, events: int = 3) -> None:
    for seq in range(events):
        await worker.event(seq, message=f"line\nbreak {seq}")
    await worker.complete()


async def test_the_page_and_its_files_are_served_with_a_strict_policy() -> None:
    async with orchestrator() as server:
        page = await server.client.get("/")
        paths = set(re.findall(r'(?:src|href)="(/[^"]+)"', page.text))
        files = {path: await server.client.get(path) for path in paths | {f"/web/{name}" for name in FILES}}
        for script in [text.text for path, text in files.items() if path.endswith(".js")]:
            assert set(re.findall(r'from "(/[^"]+)"', script)) <= files.keys()

    assert page.headers["content-type"].startswith("text/html")
    for response in [page, *files.values()]:
        assert response.status_code == 200
        policy = response.headers["content-security-policy"]
        for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"):
            assert part in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
    # Nothing is loaded from elsewhere, and the page has no inline script.
    assert "//" not in re.sub(r"</?", "", page.text)
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", page.text)


async def test_only_the_pages_files_are_served() -> None:
    async with orchestrator() as server:
        for path in ("/web/pages.py", "/web/../pages.py", "/web/%2e%2e/pages.py", "/web/", "/web/index.html"):
            assert (await server.client.get(path)).status_code == 404, path


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 202),
    ],
)
async def test_a_foreign_page_cannot_stop_a_job(headers: dict[str, str], status: int) -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        headers = {"content-type": "application/json", **headers}
        response = await server.client.post(f"/web/jobs/{worker.id}/stop", content=b"{}", headers=headers)

        assert response.status_code == status
        view = server.store.view(worker.id)
        assert view is not None
        assert (view.ended is None) == (status != 202)


async def test_stopping_cancels_the_job_and_revokes_its_token() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        assert (await worker.get("job")).status_code == 200
        stop = f"/web/jobs/{worker.id}/stop"
        assert (await server.client.post(stop, json={})).status_code == 202

        assert (await worker.get("prompt")).status_code == 401
        assert (await server.client.get(f"/jobs/{worker.id}")).json()["state"] == "cancelled"
        assert (await server.client.post(stop, json={})).status_code == 409


async def test_no_response_to_the_page_contains_the_token_or_a_credential() -> None:
    async with orchestrator() as server:
        worker = await server.new_job(credentials=[{"env_var": "KEY", "value": "opensesame"}])
        base = f"/web/jobs/{worker.id}"
        paths = ["/", "/web/jobs", f"{base}/timeline", f"{base}/download", *(f"/web/{name}" for name in FILES)]
        responses = [await server.client.get(path) for path in paths]
        responses.append(await server.client.post(f"/jobs/{worker.id}/prompt", json={"content": "x"}))
        await ended_job(worker)
        responses.append(await server.client.get(f"{base}/events"))
        responses.append(await server.client.post(f"{base}/stop", json={}))

    for response in responses:
        content = response.text + str(response.headers)
        assert worker.token not in content
        assert "opensesame" not in content


@pytest.mark.parametrize("after", [0, 1, 699, 700, 701])
async def test_a_stream_resumes_after_a_number_in_header_or_query(after: int) -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        for seq in range(700):
            server.store.add_event(worker.id, "status", {"seq": seq, "message": f"{seq}"})
        await worker.complete()
        url = f"/web/jobs/{worker.id}/events"
        by_header = await server.client.get(url + "?after=5", headers={"Last-Event-ID": str(after)})
        by_query = await server.client.get(url, params={"after": after})

    for response in (by_header, by_query):
        events = parsed(response.text)
        assert numbers(events) == list(range(after + 1, 701))
        assert events[-1][1] == "end"
        assert events[-1][2]["state"] == "completed"


@pytest.mark.parametrize("last", ["x", "-1", "²", "9" * 30])
async def test_a_resume_point_that_is_not_a_number_is_refused(last: str) -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        response = await server.client.get(f"/web/jobs/{worker.id}/events", params={"after": last})
        assert response.status_code == 400


async def test_a_stream_delivers_events_and_job_changes_live() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        events: list[ServerEvent] = []
        received = trio.Event()

        async def follow() -> None:
            nonlocal received
            async with server.client.stream("GET", f"/web/jobs/{worker.id}/events") as stream:
                text = ""
                async for piece in stream.aiter_text():
                    text += piece
                    events[:] = parsed(text[: text.rfind("\n\n") + 2])
                    received.set()
                    received = trio.Event()

        async def until(state: str) -> None:
            while not any(kind in {"job", "end"} and data["state"] == state for _, kind, data in events):
                await received.wait()

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(follow)
                await worker.post("status", {"state": "in_progress", "message": "on", "iteration": 1})
                await until("in_progress")
                async with trio.open_nursery() as burst:
                    for seq in range(100):
                        burst.start_soon(worker.event, seq)
                await worker.complete()
                await until("completed")

    assert numbers(events) == list(range(1, 101))


async def test_the_stream_shows_follow_ups_and_the_answer() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        for content in ("one", "two"):
            await server.client.post(f"/jobs/{worker.id}/prompt", json={"content": content})
        await worker.get("prompt")
        await worker.complete(message="It is **done**.")
        stream = await server.client.get(f"/web/jobs/{worker.id}/events")

    _, _, job = parsed(stream.text)[-1]
    assert [(prompt["content"], prompt["taken"] is None) for prompt in job["prompts"]] == [
        ("one", False),
        ("two", True),
    ]
    assert job["answer"] == [["p", {}, "It is ", ["strong", {}, "done"], "."]]
    assert job["local"] is False


async def test_a_long_task_is_cut_on_the_page_and_whole_in_the_download() -> None:
    async with orchestrator() as server:
        worker = await server.new_job(description="x" * 20_005)
        await worker.complete()
        stream = await server.client.get(f"/web/jobs/{worker.id}/events")
        whole = (await server.client.get(f"/web/jobs/{worker.id}/download")).json()

    assert parsed(stream.text)[-1][2]["description"] == "x" * 20_000 + "… (5 more characters)"
    assert whole["job"]["description"] == "x" * 20_005


@pytest.mark.parametrize("events", [0, 1, 1200])
async def test_the_download_is_a_file_with_all_events(events: int) -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        for seq in range(events):
            server.store.add_event(worker.id, "status", {"seq": seq})
        response = await server.client.get(f"/web/jobs/{worker.id}/download")

    whole = response.json()
    assert response.headers["content-disposition"] == f'attachment; filename="trioworker-{worker.id}.json"'
    assert (whole["job"]["id"], whole["prompts"]) == (worker.id, [])
    assert [event["number"] for event in whole["events"]] == list(range(1, events + 1))


@pytest.mark.parametrize(
    ("text", "found"),
    [("", 3), ("PARSER", 1), ("tests", 2), ("über", 1), ("ÜBER", 1), ("the report", 1), ("%", 0), ("none", 0)],
)
async def test_jobs_are_searched_by_title_task_and_report(text: str, found: int) -> None:
    async with orchestrator() as server:
        first = await server.new_job(title="The parser", description="Write tests.")
        await server.new_job(title="Über alles", description="Write docs.")
        await server.new_job(title="Fix", description="Make the tests pass.")
        await first.complete(message="The report")
        jobs = (await server.client.get("/web/jobs", params={"text": text})).json()["jobs"]

    assert len(jobs) == found


async def test_without_a_trace_replies_are_counted_by_their_tokens() -> None:
    with Store() as store:
        job = store.create_job("x", title="x")
        for _ in range(2):
            store.add_usage(job.id, Reply(input_tokens=10, output_tokens=1))
            store.add_event(job.id, "message", {"role": "assistant", "content": "I call two tools."})
            for call in ("a", "b"):
                store.add_event(job.id, "tool_use", {"tool_name": "shell", "tool_call_id": call})
            for call in ("a", "b"):
                store.add_event(job.id, "tool_result", {"tool_name": "shell", "tool_call_id": call, "success": True})
        view = store.view(job.id)
        assert view is not None
        model, tools = from_events(view, store.events(job.id, 0)).lanes

    assert (len(model.spans), len(tools.spans)) == (2, 4)


async def test_open_streams_are_limited_and_a_disconnect_frees_a_slot() -> None:
    with Store() as store:
        pages = pages_of(store)
        pages.stream_limit = StreamLimit(2)
        job = store.create_job("x", title="x")
        url_path = f"/web/jobs/{job.id}/events"
        async with (
            serving(make_app(store, NoBackend(), pages)) as url,
            httpx.AsyncClient(base_url=url, headers=ADMIN) as client,
        ):
            with trio.fail_after(30):
                async with client.stream("GET", url_path), client.stream("GET", url_path):
                    await until_open(pages, 2)
                    refused = await client.get(url_path)
                    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
                await until_open(pages, 0)


async def until_open(pages: Pages, streams: int) -> None:
    while pages.stream_limit.open != streams:  # noqa: ASYNC110 - the server has no event to wait for
        await trio.sleep(0.01)


async def test_an_open_stream_does_not_delay_shutdown() -> None:
    with Store() as store:
        job = store.create_job("x", title="x")
        reading = trio.Event()

        async def read(url: str) -> None:
            with suppress(httpx.TransportError):
                async with httpx.AsyncClient(headers=ADMIN) as client, client.stream("GET", url) as stream:
                    reading.set()
                    await stream.aread()

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery, serving(make_app(store, NoBackend(), pages_of(store))) as url:
                nursery.start_soon(read, f"{url}/web/jobs/{job.id}/events")
                await reading.wait()


async def test_without_a_trace_the_timeline_is_drawn_from_events() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        await worker.event(0, "tool_use", tool_name="shell", input="{}", tool_call_id="a")
        await worker.event(1, "tool_result", tool_name="shell", output="x", success=False, tool_call_id="a")
        await worker.event(2, "tool_use", tool_name="grep", input="{}", tool_call_id="b")
        timeline = (await server.client.get(f"/web/jobs/{worker.id}/timeline")).json()

    tools = next(lane for lane in timeline["lanes"] if lane["name"] == "tools")["spans"]
    assert [(span["name"], span["open"], span["failed"]) for span in tools] == [
        ("shell", False, True),
        ("grep", True, False),
    ]
