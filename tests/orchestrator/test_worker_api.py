"""The contract's requests over real HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from orchestrator.serving import Worker, orchestrator
from support.model import ScriptedModel
from support.program import until
from trioworker.orchestrator.backends.base import LlmError, LlmRefusedError, NamedReply
from trioworker.protocol.wire import Message, Reply, ToolCall

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import httpx

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "go"}], "max_tokens": 4096, "temperature": 0.7}
WITH_TOOLS: dict[str, Any] = {**ASK, "tools": [], "tool_choice": "auto"}
POSTS: dict[str, Any] = {
    "status": {"state": "in_progress", "message": None, "iteration": 0},
    "event": {"event_type": "status", "data": {"seq": 0}},
    "llm/complete": ASK,
    "llm/complete_with_tools": WITH_TOOLS,
    "complete": {"success": True, "message": None, "iterations": 1},
}
CALL = ToolCall(id="call_1", name="shell", arguments={"command": "ls"})


async def test_health_requires_no_token() -> None:
    async with orchestrator() as server:
        response = await server.client.get("/health")

        assert (response.status_code, response.text) == (200, "ok")


async def test_a_worker_gets_its_job_and_credentials() -> None:
    async with orchestrator() as server:
        worker = await server.new_job(
            title="Fix", project_dir="/project", credentials=[{"env_var": "KEY", "value": "secret"}]
        )

        job = await worker.get("job")
        assert job.json() == {"title": "Fix", "description": "fix it", "project_dir": "/project"}
        assert (await worker.get("credentials")).json() == [{"env_var": "KEY", "value": "secret"}]
        plain = await server.new_job()
        assert (await plain.get("credentials")).status_code == 204
        assert (await plain.get("job")).json()["title"] == "fix it"


async def test_only_the_jobs_own_token_is_accepted() -> None:
    async with orchestrator(ScriptedModel(Reply(content="hi"))) as server:
        worker, other = await server.new_job(), await server.new_job()
        wrong = [
            Worker(server.client, worker.id, other.token),
            Worker(server.client, worker.id, worker.token[:-1]),
        ]
        for stranger in wrong:
            for path in ("job", "credentials", "prompt"):
                assert (await stranger.get(path)).status_code == 401
            for path, body in POSTS.items():
                assert (await stranger.post(path, body)).status_code == 401
        bare = await server.client.get(f"/worker/{worker.id}/job")
        basic = await server.client.get(f"/worker/{worker.id}/job", headers={"Authorization": f"Basic {worker.token}"})
        odd = await server.client.get(f"/worker/{worker.id}/job", headers=[(b"Authorization", b"Bearer \xff")])
        assert (bare.status_code, basic.status_code, odd.status_code) == (401, 401, 400)
        assert (await worker.get("job")).status_code == 200


@pytest.mark.parametrize("job_id", ["5845ee22-ad10-4828-ad80-0010f956c505", "no-uuid"])
async def test_an_unknown_job_is_404(job_id: str) -> None:
    async with orchestrator() as server:
        stranger = Worker(server.client, job_id, "token")

        assert (await stranger.get("job")).status_code == 404
        assert (await stranger.complete()).status_code == 404


async def test_follow_ups_are_delivered_once_and_in_order() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        assert (await worker.get("prompt")).status_code == 204
        for body in ({"content": "more"}, {"content": "enough", "done": True}):
            assert (await server.client.post(f"/jobs/{worker.id}/prompt", json=body)).status_code == 202

        first, second, third = [await worker.get("prompt") for _ in range(3)]
        assert first.json()["content"] == "more"
        assert not first.json().get("done")
        assert second.json() == {"content": "enough", "done": True}
        assert third.status_code == 204


async def test_concurrent_completions_succeed_once_and_revoke_the_token() -> None:
    async with orchestrator() as server:
        worker = await server.new_job(credentials=[{"env_var": "KEY", "value": "secret"}])

        responses: list[httpx.Response] = []

        async def complete() -> None:
            responses.append(await worker.complete(message="done"))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(complete)

        assert sorted(response.status_code for response in responses) == [200, 401, 401, 401, 401]
        assert [response.json() for response in responses if response.is_success] == [{"status": "ok"}]
        assert (await worker.get("job")).status_code == 401
        assert (await worker.get("credentials")).status_code == 401


async def test_a_reply_is_forwarded_completely_and_its_tokens_are_counted() -> None:
    model = ScriptedModel(
        Reply(
            content="hi",
            tool_calls=(CALL,),
            input_tokens=10,
            output_tokens=5,
            finish_reason="tool_use",
            reasoning=msgspec.Raw(b'"because"'),
        )
    )
    async with orchestrator(model) as server:
        worker = await server.new_job()
        response = await worker.post("llm/complete_with_tools", WITH_TOOLS)

        assert response.json() == {
            "content": "hi",
            "tool_calls": [{"id": "call_1", "name": "shell", "arguments": {"command": "ls"}}],
            "input_tokens": 10,
            "output_tokens": 5,
            "finish_reason": "tool_use",
            "reasoning": "because",
        }
        assert model.requests[0].messages == (Message(role="user", content="go"),)
        assert model.requests[0].temperature == 0.7
        usage = (await server.client.get(f"/jobs/{worker.id}")).json()["usage"]
        assert usage == {"requests": 1, "input_tokens": 10, "output_tokens": 5}


async def test_a_text_completion_returns_string_content_and_sends_no_tools() -> None:
    model = ScriptedModel(Reply(content=None))
    async with orchestrator(model) as server:
        worker = await server.new_job()
        response = await worker.post("llm/complete", WITH_TOOLS)

        assert response.json() == {"content": "", "input_tokens": 0, "output_tokens": 0, "finish_reason": None}
        assert model.requests[0].tools is None


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (LlmError("the model is busy", retry_after="7"), 502, "7"),
        (LlmError("the model is gone"), 502, None),
        (LlmRefusedError("the key is wrong"), 422, None),
        (LlmRefusedError("too long", "context_length"), 422, None),
    ],
)
async def test_a_model_failure_is_reported_with_its_kind(error: LlmError, status: int, retry_after: str | None) -> None:
    async with orchestrator(ScriptedModel(error)) as server:
        worker = await server.new_job()
        response = await worker.post("llm/complete", ASK)

        assert response.status_code == status
        assert response.json() == {"error": {"kind": error.kind, "message": str(error)}}
        assert response.headers.get("retry-after") == retry_after


async def test_without_a_model_the_error_names_the_option() -> None:
    async with orchestrator() as server:
        response = await (await server.new_job()).post("llm/complete", ASK)

        assert response.status_code == 422
        assert "--llm script:FILE, openai or openai:BASE_URL" in response.json()["error"]["message"]


@pytest.mark.parametrize("value", ["", "-1", "1.5", "12345678901"])
async def test_an_iteration_that_is_no_number_is_refused(value: str) -> None:
    async with orchestrator(ScriptedModel(Reply(content="hi"))) as server:
        worker = await server.new_job()
        headers = {**worker.headers, "X-Trioworker-Iteration": value}
        response = await server.client.post(f"/worker/{worker.id}/llm/complete", json=ASK, headers=headers)

        assert response.status_code == 400
        assert response.text == "X-Trioworker-Iteration: expected a number"


async def test_a_worker_that_disconnects_cancels_the_model_request() -> None:
    model = ScriptedModel(Reply(content="late"), delay=600.0)
    async with orchestrator(model) as server:
        worker = await server.new_job()
        with trio.move_on_after(0.2):
            await worker.post("llm/complete", ASK)

        await until(lambda: model.cancelled == 1)
        assert (await server.client.get(f"/jobs/{worker.id}")).json()["usage"]["requests"] == 1


@pytest.mark.parametrize("size", [2_097_153, 5_000_000])
async def test_a_body_over_the_limit_is_413_and_the_connection_stays_usable(size: int) -> None:
    async with orchestrator() as server:
        worker = await server.new_job()

        async def chunks() -> AsyncGenerator[bytes]:
            # Without Content-Length.
            for start in range(0, size, 65536):
                yield b"x" * min(65536, size - start)

        with_length = await server.client.post(
            f"/worker/{worker.id}/event", content=b"x" * size, headers=worker.headers
        )
        chunked = await server.client.post(f"/worker/{worker.id}/event", content=chunks(), headers=worker.headers)
        assert (with_length.status_code, chunked.status_code) == (413, 413)
        assert (await worker.event(0)).status_code == 200


async def test_a_body_at_the_limit_is_accepted() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        overhead = len(msgspec.json.encode({"event_type": "status", "data": {"seq": 0, "message": ""}}))
        body = {"event_type": "status", "data": {"seq": 0, "message": "x" * (2_097_152 - overhead)}}
        content = msgspec.json.encode(body)

        assert len(content) == 2_097_152
        url = f"/worker/{worker.id}/event"
        assert (await server.client.post(url, content=content, headers=worker.headers)).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("event", b"{", 400),
        ("event", b"\xff", 400),
        ("event", b'{"event_type": "a", "data": {"a": ' + b"[" * 100_000, 400),
        ("event", b'{"event_type": "status"}', 422),
        ("event", b'{"event_type": "status", "data": []}', 422),
        ("status", b'{"state": "done", "iteration": 1}', 422),
        ("status", b'{"state": "in_progress", "message": "a", "iteration": "1"}', 422),
        ("complete", b'{"success": "yes", "message": null, "iterations": 1}', 422),
        ("llm/complete", b'{"messages": [{"role": "robot", "content": ""}], "max_tokens": 1}', 422),
        ("llm/complete_with_tools", b'{"messages": [{"role": "user", "content": null}], "max_tokens": 1}', 422),
    ],
)
async def test_an_invalid_body_is_refused_with_the_reason(path: str, body: bytes, status: int) -> None:
    async with orchestrator(ScriptedModel(Reply(content="hi"))) as server:
        worker = await server.new_job()
        response = await server.client.post(f"/worker/{worker.id}/{path}", content=body, headers=worker.headers)

        assert response.status_code == status
        assert response.text.startswith("the body is not ")
        assert (await worker.get("job")).status_code == 200


async def test_a_client_that_disconnects_within_its_body_has_no_effect() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        stream = await trio.open_tcp_stream("127.0.0.1", int(server.url.rpartition(":")[2]))
        head = f"POST /worker/{worker.id}/event HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
        await stream.send_all(f"{head}Authorization: Bearer {worker.token}\r\n\r\n{{".encode())
        await stream.aclose()

        assert (await worker.event(0)).status_code == 200
        assert len(server.store.events(worker.id, 0)) == 1


async def test_unknown_fields_are_ignored() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        for path in ("status", "event", "complete"):
            assert (await worker.post(path, {**POSTS[path], "novelty": 1})).status_code == 200


async def test_many_concurrent_jobs_lose_no_event() -> None:
    jobs, events = 20, 5
    async with orchestrator() as server:
        workers = [await server.new_job() for _ in range(jobs)]

        async def work(worker: Worker) -> None:
            for seq in range(events):
                assert (await worker.event(seq)).status_code == 200
            assert (await worker.complete()).status_code == 200

        async with trio.open_nursery() as nursery:
            for worker in workers:
                nursery.start_soon(work, worker)

        for worker in workers:
            stored = [event.data["seq"] for event in server.store.events(worker.id, 0)]
            assert stored == list(range(events))


async def test_a_request_that_fails_is_counted() -> None:
    async with orchestrator(ScriptedModel(LlmRefusedError("no such model"))) as server:
        worker = await server.new_job()
        assert (await worker.post("llm/complete", ASK)).status_code == 422
        usage = (await server.client.get(f"/jobs/{worker.id}")).json()["usage"]

    assert usage == {"requests": 1, "input_tokens": 0, "output_tokens": 0}


@pytest.mark.parametrize("path", ["llm/complete", "llm/complete_with_tools"])
async def test_the_job_shows_the_models_name_which_the_worker_does_not_get(path: str) -> None:
    async with orchestrator(ScriptedModel(NamedReply(content="hi", model="large-2"))) as server:
        worker = await server.new_job()
        assert (await server.client.get(f"/jobs/{worker.id}")).json()["model"] is None
        assert "model" not in (await worker.post(path, WITH_TOOLS)).json()

        assert (await server.client.get(f"/jobs/{worker.id}")).json()["model"] == "large-2"
