"""The backend for any server with OpenAI's `POST /chat/completions`.

Newer models reject two parameters. The request is then adapted and sent again: with `max_tokens` under its new name, or
without `temperature`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import httpx
import msgspec
import trio

from trioworker.errors import ConfigError
from trioworker.orchestrator.backends.base import LlmError, LlmRefusedError, LlmRequest
from trioworker.orchestrator.backends.openai_wire import ModelList, chat_body, read_reply

if TYPE_CHECKING:
    from trioworker.protocol.wire import Reply

REQUEST_TIMEOUT = 180.0
"""Seconds for one request: below a worker's 200 s per attempt, so that the worker gets the reason."""
CONNECT_TIMEOUT = 10.0
"""Seconds to connect to the server."""
MAX_REASON = 300
"""Characters of the server's reason that an error quotes."""
FINAL_STATUSES = frozenset({400, 401, 403, 404, 405, 410, 413, 415, 422})
"""A wrong key, model, URL or request stays wrong on a retry."""
MAX_ADAPTATIONS = 2
"""Times that a request is adapted and sent again: there are two adaptations."""


class OpenAIBackend:
    """A model at `base_url`, with the key in `OPENAI_API_KEY` if it is set.

    Without `model`, the server's only model is used.
    """

    def __init__(self, base_url: str, model: str | None = None) -> None:
        """Check the URL. Connects on the first request.

        Raises:
            ConfigError: the URL is invalid.
        """
        self._base = _base_url(base_url)
        self._model = model
        self._key = os.environ.get("OPENAI_API_KEY", "")
        self._limit_name = "max_tokens"
        self._sends_temperature = True
        self._client: httpx.AsyncClient | None = None

    async def complete(self, request: LlmRequest, /) -> Reply:
        """The server's first choice, converted to the contract's form."""
        response: httpx.Response | None = None
        with trio.move_on_after(REQUEST_TIMEOUT):
            response = await self._request_completion(request)
        if response is None:
            raise LlmError(f"openai: no response from {self._base} within {REQUEST_TIMEOUT:g} s")
        try:
            return read_reply(response.content)
        except msgspec.MsgspecError as error:
            raise LlmError(f"openai: the response of {self._base}/chat/completions is invalid: {error}") from error

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            with trio.move_on_after(1.0, shield=True):
                await self._client.aclose()

    async def _request_completion(self, request: LlmRequest) -> httpx.Response:
        if self._model is None:
            self._model = await self._only_model()
        for _ in range(MAX_ADAPTATIONS):
            response = await self._send("POST", "/chat/completions", self._body(request))
            if not (response.status_code == 400 and self._adapt(response.text)):
                break
        else:
            response = await self._send("POST", "/chat/completions", self._body(request))
        self._check(response)
        return response

    def _body(self, request: LlmRequest) -> bytes:
        body = chat_body(request, self._model or "", self._limit_name)
        if not self._sends_temperature:
            body.pop("temperature", None)
        return msgspec.json.encode(body)

    def _adapt(self, reason: str) -> bool:
        """Adapt this and all later requests to the server's reason. False if there is nothing to adapt."""
        if "max_completion_tokens" in reason and self._limit_name == "max_tokens":
            self._limit_name = "max_completion_tokens"
            return True
        if "temperature" in reason and self._sends_temperature:
            self._sends_temperature = False
            return True
        return False

    async def _only_model(self) -> str:
        response = await self._send("GET", "/models")
        self._check(response)
        try:
            names = [model.id for model in msgspec.json.decode(response.content, type=ModelList).data]
        except msgspec.MsgspecError as error:
            raise LlmRefusedError(
                f"openai: {self._base}/models lists no models; choose one with --model NAME"
            ) from error
        if len(names) != 1:
            shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
            raise LlmRefusedError(
                f"openai: {self._base} has {len(names)} models; choose one with --model NAME: {shown}"
            )
        return names[0]

    async def _send(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        if self._client is None:
            self._client = self._connect()
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            return await self._client.request(method, self._base + path, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise LlmError(f"openai: {method} {self._base}{path}: {type(error).__name__}: {error}") from error

    def _connect(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),
            # Unlimited: httpcore leaks the slot of a request that is cancelled while it waits for a connection.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
        )

    def _check(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        reason = _reason(response.content)
        if self._key:
            reason = reason.replace(self._key, "[key]")
        message = f"openai: {response.request.url} answered {response.status_code}: {reason}"
        if response.status_code in FINAL_STATUSES:
            raise LlmRefusedError(message)
        raise LlmError(message, retry_after=response.headers.get("retry-after"))


def _base_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"--llm openai:{url}: not a URL; use openai:https://HOST/v1")
    return url.rstrip("/").removesuffix("/chat/completions")


def _reason(body: bytes) -> str:
    """The server's reason in one line: `error.message` of OpenAI's error format, otherwise the start of the body."""
    text = body.decode("utf-8", "replace")
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        value = None
    for key in ("error", "message"):
        if isinstance(value, dict) and key in value:
            value = cast("dict[str, Any]", value)[key]
    return " ".join((value if isinstance(value, str) else text).split())[:MAX_REASON] or "no reason given"
