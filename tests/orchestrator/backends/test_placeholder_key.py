"""Servers that need no key get a placeholder, such as `ollama`, which is also a word of replies."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from trioworker.orchestrator.backends.base import LlmRefusedError, LlmRequest
from trioworker.orchestrator.backends.openai import OpenAIBackend
from trioworker.protocol.wire import Message

ASK = LlmRequest(messages=(Message(role="user", content="go"),), tools=(), max_tokens=9, temperature=0.7)


def backend(status: int, body: object) -> OpenAIBackend:
    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, stream=httpx.ByteStream(msgspec.json.encode(body)))

    return OpenAIBackend("http://models.test/v1", "m", transport=httpx.MockTransport(respond))


@pytest.mark.parametrize("key", ["ollama", "e", '"'])
async def test_reply_is_unchanged_by_a_placeholder_key(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    message = {"role": "assistant", "content": "Run `ollama serve`."}

    reply = await backend(200, {"choices": [{"message": message, "finish_reason": "stop"}]}).complete(ASK)

    assert reply.content == "Run `ollama serve`."


async def test_refusal_never_quotes_a_short_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1234")
    with pytest.raises(LlmRefusedError, match=r"Invalid key \[key\]\Z"):
        await backend(401, {"error": {"message": "Invalid key sk-1234"}}).complete(ASK)
