"""The backend for any server with OpenAI's `POST /chat/completions`.

Some models reject parameters, and some servers reject fields of messages. The request is then adapted and sent again:
with `max_tokens` under its new name, without `temperature`, or without thoughts. Later requests keep the change.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit

import httpx
import msgspec
import trio

from trioworker.errors import ConfigError
from trioworker.orchestrator.backends.base import LlmError, LlmRefusedError, LlmRequest
from trioworker.orchestrator.backends.bounded_body import ACCEPTED_ENCODINGS, BodyError, BodyTooLongError, read_body
from trioworker.orchestrator.backends.http_client import CONNECT_TIMEOUT, open_client
from trioworker.orchestrator.backends.lenient_json import read_json
from trioworker.orchestrator.backends.openai_errors import Failure, error_of, failure_inside, failure_of
from trioworker.orchestrator.backends.openai_reply import read_reply
from trioworker.orchestrator.backends.openai_wire import chat_body, drop_thoughts
from trioworker.protocol.certificates import certificate_problem
from trioworker.protocol.limits import MAX_LLM_REPLY_BYTES

if TYPE_CHECKING:
    from trioworker.protocol.wire import Reply

ADAPTABLE = frozenset({400, 422})
"""The statuses with which servers reject a parameter."""
THOUGHTS_UNSUPPORTED = re.compile(
    r"(?:reasoning|thinking_blocks).{0,80}(?:not supported|unsupported|not permitted|unexpected|unrecognized)"
    r"|(?:unsupported|unexpected|unrecognized|extra|additional).{0,80}(?:reasoning|thinking_blocks)",
    re.IGNORECASE,
)
"""Matches errors such as those of Groq and Mistral: a gateway may rename thoughts in replies, and then pass on a name
that the server behind it rejects.
"""


class _Response(NamedTuple):
    """The server's response. Its body is without the API key, which some servers quote."""

    status: int
    body: bytes
    retry_after: str | None

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class OpenAIBackend:
    """A model at `base_url`, with the key in `OPENAI_API_KEY` if it is set.

    Without `model`, the server's only model is used.
    """

    def __init__(
        self, base_url: str, model: str | None = None, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """Check the URL. Connects on the first request, or asks `transport`.

        Raises:
            ConfigError: the URL is invalid, or a variable names certificates or a proxy that can't be used.
        """
        self._base = _base_url(base_url)
        self._model = model
        self._key = os.environ.get("OPENAI_API_KEY", "")
        self._limit_name = "max_tokens"
        self._sends_temperature = True
        self._returns_thoughts = True
        headers = {"Accept-Encoding": ACCEPTED_ENCODINGS}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._client = open_client(self._base, headers, transport)

    async def complete(self, request: LlmRequest, /) -> Reply:
        """The server's first choice, converted to the contract's form."""
        response = await self._request_completion(request)
        try:
            completion = read_json(response.body)
            if not isinstance(completion, dict):
                raise ValueError("not a JSON object")
            completion = cast("dict[str, Any]", completion)
            if failure := failure_inside(completion):
                raise self._error(failure, response)
            return read_reply(completion, self._model)
        except ValueError as error:
            # The usual reason is another server at this URL, such as a gateway's page.
            start = " ".join(response.body[:400].decode("utf-8", "replace")[:100].split())
            raise LlmError(f"the model server's response is not a completion: {error}: {start}") from error

    async def aclose(self) -> None:
        """Close the connections."""
        with trio.move_on_after(1.0, shield=True):
            await self._client.aclose()

    async def _request_completion(self, request: LlmRequest) -> _Response:
        if self._model is None:
            self._model = await self._only_model()
        while True:
            body = self._body(request)
            response = await self._send("POST", "/chat/completions", msgspec.json.encode(body))
            if response.is_success:
                return response
            failure = failure_of(response.status, response.body)
            if not self._adapt(body, failure):
                raise self._error(failure, response)

    def _body(self, request: LlmRequest) -> dict[str, Any]:
        body = chat_body(request, self._model or "", self._limit_name)
        if not self._sends_temperature:
            body.pop("temperature", None)
        if not self._returns_thoughts:
            drop_thoughts(body)
        return body

    def _adapt(self, body: dict[str, Any], failure: Failure) -> bool:
        """Adapt this and later requests to the reason why `body` was refused. False if nothing can be adapted."""
        if failure.status not in ADAPTABLE or failure.refusal != "rejected":
            return False
        if "max_completion_tokens" in failure.reason and "max_tokens" in body:
            self._limit_name = "max_completion_tokens"
            return True
        if "temperature" in failure.reason and "temperature" in body:
            self._sends_temperature = False
            return True
        if THOUGHTS_UNSUPPORTED.search(failure.reason) and drop_thoughts(body):
            self._returns_thoughts = False
            return True
        return False

    async def _only_model(self) -> str:
        response = await self._send("GET", "/models")
        if not response.is_success:
            raise self._error(failure_of(response.status, response.body), response)
        names = _model_names(response.body)
        if len(names) != 1:
            shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
            listed = (
                f"{len(names)} models; choose one with --model NAME: {shown}" if names else "no models; use --model"
            )
            raise LlmRefusedError(f"the model server lists {listed}")
        return names[0]

    async def _send(self, method: str, path: str, body: bytes | None = None) -> _Response:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            async with self._client.stream(method, self._base + path, content=body, headers=headers) as response:
                content = await read_body(response, MAX_LLM_REPLY_BYTES)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Without the user and the password.
            host = urlsplit(self._base).netloc.rpartition("@")[2]
            if problem := certificate_problem(error):
                raise LlmRefusedError(f"{problem} ({host})") from error
            raise LlmError(f"{_describe(error)} ({host})") from error
        except BodyTooLongError as error:
            raise LlmRefusedError(f"the model server's response is too long: {error}") from error
        except BodyError as error:
            raise LlmError(f"the model server's response can't be read: {error}") from error
        # Replaced before truncation, which could leave a part of it.
        content = content.replace(self._key.encode(), b"[key]") if self._key else content
        return _Response(response.status_code, content, response.headers.get("retry-after"))

    def _error(self, failure: Failure, response: _Response) -> LlmError:
        return error_of(failure, retry_after=response.retry_after, has_key=bool(self._key))


def _base_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"--llm openai:{url}: not a URL; use openai:https://HOST/v1")
    return url.rstrip("/").removesuffix("/chat/completions")


def _model_names(body: bytes) -> list[str]:
    try:
        listed = read_json(body)
    except ValueError:
        return []
    entries = cast("dict[str, Any]", listed).get("data") if isinstance(listed, dict) else None
    models = cast("list[Any]", entries) if isinstance(entries, list) else []
    ids = [cast("dict[str, Any]", model).get("id") for model in models if isinstance(model, dict)]
    return [model_id for model_id in ids if isinstance(model_id, str)]


def _describe(error: BaseException) -> str:
    """The reason why a connection failed: the operating system's, which httpx wraps."""
    reason, cause = "", cast("BaseException | None", error)
    while cause is not None:
        if isinstance(cause, BaseExceptionGroup):
            cause = cast("BaseExceptionGroup[BaseException]", cause).exceptions[-1]
        if isinstance(cause, OSError) and cause.strerror:
            # DNS and TLS errors have their own numbers. trio repeats the address in the text.
            has_own_number = isinstance(cause, ssl.SSLError | socket.gaierror)
            text = cause.strerror if has_own_number or cause.errno is None else os.strerror(cause.errno)
            reason = re.sub(r"\[[^]]*\] ?", "", text)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectTimeout):
        reason = f"no connection within {CONNECT_TIMEOUT:g} s"
    return _lower_first(reason or str(error) or type(error).__name__)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
