"""The client's requests as they are sent, and the interpretation of their responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest
import trio

from support.identity import JOB_ID, TOKEN, URL
from support.requests import (
    CHAT,
    JOB,
    REPLY,
    TOOL_CHAT,
    Request,
    ask_for_text,
    ask_with_tools,
    connect,
    post_event,
    send_report,
)
from support.scripted_transport import ScriptedTransport, json, status
from trioworker.errors import BadReplyError
from trioworker.protocol import wire
from trioworker.worker.client.orchestrator_client import OrchestratorClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

REQUESTS: list[tuple[Request, str, str, bytes]] = [
    (OrchestratorClient.job, "GET", "job", b""),
    (OrchestratorClient.credentials, "GET", "credentials", b""),
    (OrchestratorClient.prompt, "GET", "prompt", b""),
    (post_event, "POST", "event", b'{"event_type":"status","data":{}}'),
    (send_report, "POST", "complete", b'{"success":true,"message":"done","iterations":3}'),
    (
        ask_for_text,
        "POST",
        "llm/complete",
        b'{"messages":[{"role":"user","content":"hi"}],"max_tokens":7,"temperature":0.7}',
    ),
    (
        ask_with_tools,
        "POST",
        "llm/complete_with_tools",
        b'{"messages":[{"role":"user","content":"hi"}],"tools":[],"max_tokens":9,"tool_choice":"auto"}',
    ),
]
ANSWERS = {"job": JOB, "prompt": status(204), "llm/complete": json(REPLY), "llm/complete_with_tools": json(REPLY)}


def name_of(value: object) -> str:
    return getattr(value, "__name__", str(value)[:30])


@pytest.mark.parametrize(("request_", "method", "path", "body"), REQUESTS, ids=name_of)
@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}//"])
async def test_request_has_the_contracts_method_path_and_body(
    request_: Request, method: str, path: str, body: bytes, url: str, autojump_clock: MockClock
) -> None:
    transport = ScriptedTransport(ANSWERS.get(path, json([])))
    async with connect(transport, url=url) as client:
        await request_(client)
    (arrival,) = transport.arrivals
    assert arrival.method == method
    assert arrival.url == f"{URL}/worker/{JOB_ID}/{path}"
    assert arrival.body == body
    assert arrival.headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in arrival.url
    assert TOKEN.encode() not in arrival.body
    # A compressed body is refused, and an error's body must be readable in the log.
    assert arrival.headers["accept-encoding"] == "identity"
    assert ("content-type" in arrival.headers) == bool(body)


async def test_unknown_fields_of_the_job_are_ignored(autojump_clock: MockClock) -> None:
    transport = ScriptedTransport(json({"title": "T", "description": "D", "project_dir": "/p", "priority": 9}))
    async with connect(transport) as client:
        assert await client.job() == wire.JobDescription(title="T", description="D", project_dir="/p")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (status(204), ()),
        (status(404, b"none granted"), ()),
        (status(200), ()),
        (json([{"env_var": "A", "value": "b", "kind": "x"}]), (wire.Credential(env_var="A", value="b"),)),
    ],
)
async def test_credentials_are_fetched(
    answer: httpx.Response, expected: tuple[wire.Credential, ...], autojump_clock: MockClock
) -> None:
    async with connect(ScriptedTransport(answer)) as client:
        assert await client.credentials() == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (status(204), None),
        (json({"content": "also this"}), wire.Prompt(content="also this")),
        (json({"content": "the last", "done": True}), wire.Prompt(content="the last", done=True)),
    ],
)
async def test_prompt_is_fetched(
    answer: httpx.Response, expected: wire.Prompt | None, autojump_clock: MockClock
) -> None:
    async with connect(ScriptedTransport(answer)) as client:
        assert await client.prompt() == expected


async def test_null_in_a_reply_means_absent(autojump_clock: MockClock) -> None:
    nulls = dict.fromkeys((*REPLY, "cache_read_input_tokens", "cache_creation_input_tokens", "some_new_field"), None)
    async with connect(ScriptedTransport(json(nulls))) as client:
        reply = await client.complete_with_tools(TOOL_CHAT)
    assert reply == wire.Reply()
    assert reply.ended_by == "unknown"


async def test_opaque_provider_data_is_kept_byte_for_byte(autojump_clock: MockClock) -> None:
    call = b'{"id":"a","name":"t","arguments":{},"reasoning":{ "b": 1.50 },"signature":"\\u0041="}'
    body = b'{"tool_calls":[' + call + b'],"reasoning":"x\\u00e9","reasoning_details":[1,  2]}'
    async with connect(ScriptedTransport(status(200, body))) as client:
        reply = await client.complete_with_tools(TOOL_CHAT)
    assert reply.tool_calls is not None
    assert reply.tool_calls[0].reasoning == msgspec.Raw(b'{ "b": 1.50 }')
    assert reply.tool_calls[0].signature == msgspec.Raw(b'"\\u0041="')
    assert reply.reasoning == msgspec.Raw(b'"x\\u00e9"')
    assert reply.reasoning_details == msgspec.Raw(b"[1,  2]")


MALFORMED: list[tuple[bytes, str]] = [
    (b"<html>busy</html>", "malformed"),
    (b"", "truncated"),
    (b'{"title": "T"}', "`description`"),
    (b'{"title": 3, "description": "D"}', r"Expected `str`, got `int` - at `\$.title`"),
    (b'{"title": "\xff\xfe", "description": "D"}', ""),
    (b"[" * 100_000, ""),
]


@pytest.mark.parametrize(("body", "field"), MALFORMED, ids=lambda value: str(value)[:30])
async def test_malformed_response_is_retried_and_then_reported_with_endpoint_status_and_field(
    body: bytes, field: str, autojump_clock: MockClock
) -> None:
    transport = ScriptedTransport(status(200, body))
    async with connect(transport) as client:
        with pytest.raises(BadReplyError, match=f"GET job: 200 .*{field}"):
            await client.job()
    assert len(transport.arrivals) == 3


async def test_valid_response_after_malformed_ones_is_accepted(autojump_clock: MockClock) -> None:
    transport = ScriptedTransport(status(200, b"<html>busy</html>"), status(200, b"{"), JOB)
    async with connect(transport) as client:
        assert (await client.job()).title == "Fix it"


async def test_error_names_the_path_of_a_wrong_field(autojump_clock: MockClock) -> None:
    transport = ScriptedTransport(json([{"env_var": "A", "value": "b"}, {"env_var": 3, "value": "b"}]))
    async with connect(transport) as client:
        with pytest.raises(BadReplyError, match=r"GET credentials: 200 .*\$\[1\]\.env_var"):
            await client.credentials()


@pytest.mark.parametrize("body", [b"[]", b'"Hello"', b"null", b"{", b"\xef\xbb\xbf"])
async def test_reply_that_is_not_an_object_is_malformed(body: bytes, autojump_clock: MockClock) -> None:
    async with connect(ScriptedTransport(status(200, body))) as client:
        with pytest.raises(BadReplyError, match="POST llm/complete: 200 with a body that violates the contract"):
            await client.complete_chat(CHAT)


async def test_malformed_prompt_is_not_retried(autojump_clock: MockClock) -> None:
    transport = ScriptedTransport(json({"done": False}))
    async with connect(transport) as client:
        with pytest.raises(BadReplyError, match=r"GET prompt: 200 .*`content`"):
            await client.prompt()
    assert len(transport.arrivals) == 1


async def test_response_over_its_limit_is_not_read_to_the_end(autojump_clock: MockClock) -> None:
    sent = 0

    async def flood(_: httpx.Request) -> httpx.Response:
        class Flood(httpx.AsyncByteStream):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                nonlocal sent
                while True:
                    sent += 1
                    yield b" " * 65_536
                    await trio.lowlevel.checkpoint()

        return httpx.Response(200, stream=Flood())

    transport = ScriptedTransport(flood)
    async with connect(transport) as client:
        with pytest.raises(BadReplyError, match="job: 200 with over 1048576 bytes"):
            await client.job()
    assert len(transport.arrivals) == 1
    assert sent == 17


async def test_reply_may_contain_a_file_of_five_mebibytes(autojump_clock: MockClock) -> None:
    text = "\n" * (5 * 1024 * 1024)
    async with connect(ScriptedTransport(json({"content": text}))) as client:
        assert (await client.complete_chat(CHAT)).content == text
