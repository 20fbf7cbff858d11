"""The backend for any server that speaks OpenAI's `POST /chat/completions`.

The two forms of a conversation differ in little: there, arguments are JSON text, calls are wrapped as functions, and
finish reasons have other names. Two refusals of newer models are mended by asking once more: `max_tokens` under its
new name, and no `temperature`.
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
"""Seconds for one answer: below the 200 s that a worker gives one attempt, so that it hears the reason."""
CONNECT_TIMEOUT = 10.0
"""Seconds to reach the server: it is near, or has a name and a route."""
REASON_SHOWN = 300
"""Characters of a server's own reason in ours."""
FINAL_STATUSES = frozenset({400, 401, 403, 404, 405, 410, 413, 415, 422})
"""A wrong key, model, URL or request stays wrong when it is sent again."""
ADAPTATIONS_MAX = 2
"""Times that a request is changed and sent again: there are two changes."""


class OpenAIBackend:
    """A model behind `base_url`, with the key in `OPENAI_API_KEY` if there is one.

    Without `model`, the server's only model is used.
    """

    def __init__(self, base_url: str, model: str | None = None) -> None:
        """Check the URL; the server is first asked when a job asks.

        Raises:
            ConfigError: the URL is none.
        """
        self._base = _checked(base_url)
        self._model = model
        self._key = os.environ.get("OPENAI_API_KEY", "")
        self._limit_name = "max_tokens"
        self._temperature = True
        self._client: httpx.AsyncClient | None = None

    async def complete(self, request: LlmRequest, /) -> Reply:
        """The server's first choice, in the contract's words."""
        answer: httpx.Response | None = None
        with trio.move_on_after(REQUEST_TIMEOUT):
            answer = await self._ask(request)
        if answer is None:
            raise LlmError(f"openai: no answer from {self._base} within {REQUEST_TIMEOUT:g} s")
        try:
            return read_reply(answer.content)
        except msgspec.MsgspecError as error:
            raise LlmError(f"openai: {self._base}/chat/completions answered with no completion: {error}") from error

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            with trio.move_on_after(1.0, shield=True):
                await self._client.aclose()

    async def _ask(self, request: LlmRequest) -> httpx.Response:
        if self._model is None:
            self._model = await self._only_model()
        for _ in range(ADAPTATIONS_MAX):
            answer = await self._send("POST", "/chat/completions", self._body(request))
            if not (answer.status_code == 400 and self._adapted(answer.text)):
                break
        else:
            answer = await self._send("POST", "/chat/completions", self._body(request))
        self._check(answer)
        return answer

    def _body(self, request: LlmRequest) -> bytes:
        body = chat_body(request, self._model or "", self._limit_name)
        if not self._temperature:
            body.pop("temperature", None)
        return msgspec.json.encode(body)

    def _adapted(self, reason: str) -> bool:
        """Whether the refusal named a parameter that can be put in another way, for this request and all later ones."""
        if "max_completion_tokens" in reason and self._limit_name == "max_tokens":
            self._limit_name = "max_completion_tokens"
            return True
        if "temperature" in reason and self._temperature:
            self._temperature = False
            return True
        return False

    async def _only_model(self) -> str:
        answer = await self._send("GET", "/models")
        self._check(answer)
        try:
            names = [model.id for model in msgspec.json.decode(answer.content, type=ModelList).data]
        except msgspec.MsgspecError as error:
            raise LlmRefusedError(f"openai: {self._base}/models lists no models; choose one by --model NAME") from error
        if len(names) != 1:
            shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
            raise LlmRefusedError(f"openai: {self._base} has {len(names)} models; choose one by --model NAME: {shown}")
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
            # No bound, since httpcore leaks the slot of a cancelled request that waits for a connection.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
        )

    def _check(self, answer: httpx.Response) -> None:
        if answer.is_success:
            return
        reason = _reason(answer.content)
        if self._key:
            reason = reason.replace(self._key, "[key]")
        message = f"openai: {answer.request.url} answered {answer.status_code}: {reason}"
        if answer.status_code in FINAL_STATUSES:
            raise LlmRefusedError(message)
        raise LlmError(message, retry_after=answer.headers.get("retry-after"))


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"--llm openai:{url}: not a URL; write openai:https://HOST/v1")
    return url.rstrip("/").removesuffix("/chat/completions")


def _reason(body: bytes) -> str:
    """The server's reason in one line: `error.message` where it keeps to the form, else the start of the body."""
    text = body.decode("utf-8", "replace")
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        value = None
    for key in ("error", "message"):
        if isinstance(value, dict) and key in value:
            value = cast("dict[str, Any]", value)[key]
    return " ".join((value if isinstance(value, str) else text).split())[:REASON_SHOWN] or "no reason given"
