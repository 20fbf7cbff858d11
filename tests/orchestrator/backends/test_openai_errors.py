"""The kind of a server's error, and the line that people read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trioworker.orchestrator.backends.base import LlmRefusedError
from trioworker.orchestrator.backends.openai_errors import error_of, failure_inside, failure_of


def openai(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


@pytest.mark.parametrize(
    ("status", "body", "kind", "line"),
    [
        (
            401,
            openai("Incorrect API key provided: sk-x.", code="invalid_api_key"),
            "rejected",
            "the model server rejected the API key (401): Incorrect API key provided: sk-x.",
        ),
        (
            400,
            openai("API key not valid. Please pass a valid API key.", status="INVALID_ARGUMENT"),
            "rejected",
            "the model server rejected the API key (400): API key not valid. Please pass a valid API key.",
        ),
        (
            403,
            openai("Country not supported"),
            "rejected",
            "the model server denied permission (403): Country not supported",
        ),
        (
            404,
            openai("The model `gpt-9` does not exist"),
            "rejected",
            "the model server does not know the model or the path (404): The model `gpt-9` does not exist",
        ),
        (
            400,
            openai("Invalid 'messages[2].role'"),
            "rejected",
            "the model server refused the request (400): Invalid 'messages[2].role'",
        ),
        (
            402,
            openai("Insufficient Balance"),
            "quota",
            "the quota or credits at the model server are used up (402): Insufficient Balance",
        ),
        (
            429,
            openai("You exceeded your current quota, please check your plan.", code="insufficient_quota"),
            "quota",
            "the quota or credits at the model server are used up (429): You exceeded your current quota, "
            "please check your plan.",
        ),
        (
            400,
            openai("Your credit balance is too low to access the API."),
            "quota",
            "the quota or credits at the model server are used up (400): Your credit balance is too low to access "
            "the API.",
        ),
        (
            429,
            openai("Rate limit reached for gpt-4o", code="rate_limit_exceeded"),
            "unavailable",
            "the model server's rate limit was reached (429): Rate limit reached for gpt-4o",
        ),
        (
            429,
            openai("You exceeded your current quota. Please retry in 30s.", status="RESOURCE_EXHAUSTED"),
            "unavailable",
            "the model server's rate limit was reached (429): You exceeded your current quota. Please retry in 30s.",
        ),
        (529, openai("Overloaded"), "unavailable", "the model server is overloaded (529): Overloaded"),
        (500, {"error": "plain"}, "unavailable", "the model server failed (500): plain"),
        (408, {"message": "late"}, "unavailable", "the model server failed (408): late"),
        (
            400,
            openai("too long", code="context_length_exceeded"),
            "context_length",
            "the conversation is too long for the model (400): too long",
        ),
        (
            500,
            openai("litellm.APIConnectionError: BedrockException: Input is too long for requested model."),
            "context_length",
            "the conversation is too long for the model (500): litellm.APIConnectionError: BedrockException: "
            "Input is too long for requested model.",
        ),
        (
            413,
            {},
            "context_length",
            "the conversation is too long for the model (413): no reason given",
        ),
        (
            400,
            openai("max_tokens is too large: 16384. This model supports at most 4096 completion tokens."),
            "max_tokens",
            "the model server refused max_tokens (400): max_tokens is too large: 16384. This model supports at most "
            "4096 completion tokens.",
        ),
    ],
)
def test_a_refusal_has_a_kind_and_quotes_the_server(status: int, body: Any, kind: str, line: str) -> None:
    error = error_of(failure_of(status, msgspec.json.encode(body)), retry_after="3")

    assert (error.kind, str(error)) == (kind, line)
    assert isinstance(error, LlmRefusedError) == (kind != "unavailable")
    assert error.retry_after == ("3" if kind == "unavailable" else None)


def test_without_a_key_a_401_names_its_variable() -> None:
    error = error_of(failure_of(401, b"no"), has_key=False)

    assert str(error) == "the model server requires an API key in OPENAI_API_KEY (401): no"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"object": "error", "message": "bad", "code": 40303}', "bad"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"detail": [{"loc": ["body"], "msg": "extra"}]}', "[{'loc': ['body'], 'msg': 'extra'}]"),
        (b'{"error": {"message": {"message": "inner"}}}', "inner"),
        (
            b'{"error": {"message": "Provider returned error", "metadata": {"raw": "overloaded"}}}',
            "Provider returned error: overloaded",
        ),
        (b"<html>\n<head><title>502 Bad Gateway</title></head><body>x</body></html>", "502 Bad Gateway"),
        (b"plain\ntext", "plain text"),
        (b"", "no reason given"),
        (b"\xff", "\ufffd"),
        (b"x" * 10_000, "x" * 500 + "\u2026"),
    ],
)
def test_each_form_of_reason_is_found(body: bytes, reason: str) -> None:
    assert failure_of(400, body).reason == reason


@pytest.mark.parametrize(
    ("completion", "kind", "status"),
    [
        (openai("Insufficient credits", code=402), "quota", 402),
        (openai("No auth", code="401"), "rejected", 401),
        (openai("No auth", code="invalid_api_key"), "rejected", 401),
        (openai("Provider returned error", code=502), "unavailable", 502),
        (openai("slow down", code=429), "unavailable", 429),
        (openai("odd"), "unavailable", 200),
        ({"error": "odd"}, "unavailable", 200),
        ({"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}}, "context_length", 200),
        ({"object": "error", "message": "bad", "code": 404}, "rejected", 404),
        ({"detail": "odd"}, "unavailable", 200),
        ({"choices": [{"error": {"message": "gone", "code": 502}, "finish_reason": "error"}]}, "unavailable", 502),
    ],
)
def test_an_error_inside_a_success_is_found(completion: dict[str, Any], kind: str, status: int) -> None:
    failure = failure_inside(completion)

    assert failure is not None
    assert (error_of(failure).kind, failure.status) == (kind, status)


@pytest.mark.parametrize("error", [None, {}, "", False])
def test_an_empty_error_is_no_failure(error: Any) -> None:
    assert failure_inside({"error": error, "choices": [{"message": {"content": "hi"}}]}) is None
