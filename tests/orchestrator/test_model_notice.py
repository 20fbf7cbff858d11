"""What an orchestrator says about its model when it starts."""

from __future__ import annotations

import httpx
import pytest

from support.scripted_transport import ScriptedTransport, json, status
from trioworker.errors import ConfigError
from trioworker.orchestrator.backends.factory import NoBackend
from trioworker.orchestrator.backends.openai import OpenAIBackend
from trioworker.orchestrator.model_notice import model_notice

MODELS = json({"data": [{"id": "llama3.2:latest"}]})


def server(response: httpx.Response | Exception, model: str = "llama3.2") -> OpenAIBackend:
    return OpenAIBackend("http://models.test/v1", model, transport=ScriptedTransport(response))


async def test_without_a_model_the_notice_says_what_that_means() -> None:
    assert await model_notice(NoBackend()) == (
        "no model: each request to the model fails, and with it the job; "
        "restart with --llm: script:FILE, openai or openai:BASE_URL"
    )


async def test_a_listed_model_needs_no_notice() -> None:
    assert await model_notice(server(MODELS)) is None


async def test_an_unlisted_model_is_a_notice() -> None:
    assert "does not list the model llama3.3: did you mean" in str(await model_notice(server(MODELS, "llama3.3")))


async def test_a_server_that_is_away_is_a_notice() -> None:
    notice = await model_notice(server(httpx.ConnectError("refused")))
    assert notice == (
        "no connection to the model server: refused (models.test); check that it runs, and the URL in --llm; "
        "jobs wait until it answers"
    )


async def test_a_refused_key_is_an_error() -> None:
    with pytest.raises(ConfigError, match="the model server re"):
        await model_notice(server(status(401)))
