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
from trioworker.orchestrator.backends.api_key import API_KEY_VARIABLE, read_api_key
from trioworker.orchestrator.backends.base import LlmError, LlmRefusedError, LlmRequest
from trioworker.orchestrator.backends.bounded_body import ACCEPTED_ENCODINGS, BodyError, BodyTooLongError, read_body
from trioworker.orchestrator.backends.http_client import CONNECT_TIMEOUT, look_up, open_client
from trioworker.orchestrator.backends.lenient_json import read_json
from trioworker.orchestrator.backends.model_list import choice, read_names
from trioworker.orchestrator.backends.openai_errors import ProviderFailure, error_of, failure_inside, failure_of
from trioworker.orchestrator.backends.openai_reply import read_reply
from trioworker.orchestrator.backends.openai_wire import chat_body, drop_thoughts
from trioworker.protocol.certificates import certificate_problem
from trioworker.protocol.limits import MAX_LLM_REPLY_BYTES

if TYPE_CHECKING:
    from trioworker.protocol.wire import Reply

ADAPTABLE = frozenset({400, 422})
"""The statuses with which servers reject a parameter."""
MIN_SECRET_LENGTH = 20
"""Characters of a key from which on it is removed from replies, too: a shorter one may be a placeholder such as
`ollama`, and so a word of the reply.
"""
THOUGHTS_UNSUPPORTED = re.compile(
    r"(?:reasoning|thinking_blocks).{0,80}(?:not supported|unsupported|not permitted|unexpected|unrecognized)"
    r"|(?:unsupported|unexpected|unrecognized|extra|additional).{0,80}(?:reasoning|thinking_blocks)",
    re.IGNORECASE,
)
"""Matches errors such as those of Groq and Mistral: a gateway may rename thoughts in replies, and then pass on a name
that the server behind it rejects.
"""


class Response(NamedTuple):
    """The server's response. Its body is without the API key, which some servers quote in errors."""

    status: int
    body: bytes
    retry_after: str | None = None
    location: str = ""
    """Where the server redirects to, without a query."""

    @property
    def is_success(self) -> bool:
        """Whether the status is that of a success."""
        return 200 <= self.status < 300


class OpenAIBackend:
    """A model at a base URL, with an API key if its variable is set. Without `model`, the server's only one.

    Attributes:
        model: the model to request; None until the server was asked for its only one.
        url: the base URL, without a password.
        url_source: the option or variable that the URL is from, for error messages.
        key_variable: the variable that the API key is from.
    """

    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        *,
        api_key_variable: str | None = None,
        url_source: str = "--llm",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Check the URL and read the key. Connects on the first request, or asks `transport`.

        Raises:
            ConfigError: the URL is invalid, the key can't be used, or a variable names certificates or a proxy that
                can't be used.
        """
        self._base = _base_url(base_url, url_source)
        self.model = model
        self.url = _without_user(self._base)
        self.url_source = url_source
        self.key_variable = api_key_variable or API_KEY_VARIABLE
        self._key = read_api_key(api_key_variable)
        self._limit_name = "max_tokens"
        self._sends_temperature = True
        self._returns_thoughts = True
        headers = {"Accept-Encoding": ACCEPTED_ENCODINGS}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._client = open_client(self._base, headers, transport)
        self._looks_up_names = transport is None

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
            return read_reply(completion, self.model)
        except ValueError as error:
            # The usual reason is another server at this URL, such as a gateway's page.
            start = " ".join(response.body[:400].decode("utf-8", "replace")[:100].split())
            raise LlmError(f"the model server's response is not a completion: {error}: {start}") from error

    async def get(self, path: str, *, connect_timeout: float) -> Response:
        """The response to a GET request for a path below the base URL. A body that can't be read is empty.

        Raises:
            LlmError: there is no connection within `connect_timeout` seconds after the name lookup.
        """
        if self._looks_up_names:
            await look_up(self._base)
        try:
            return await self._exchange("GET", path, connect_timeout=connect_timeout)
        except BodyError:
            return Response(200, b"")

    def error_of(self, response: Response) -> LlmError:
        """The error in a response without success."""
        return self._error(failure_of(response.status, response.body), response)

    async def aclose(self) -> None:
        """Close the connections."""
        with trio.move_on_after(1.0, shield=True):
            await self._client.aclose()

    async def _request_completion(self, request: LlmRequest) -> Response:
        if self.model is None:
            self.model = await self._only_model()
        while True:
            body = self._body(request)
            response = await self._send("POST", "/chat/completions", msgspec.json.encode(body))
            if response.is_success:
                return response
            failure = failure_of(response.status, response.body)
            if not self._adapt(body, failure):
                raise self._error(failure, response)

    def _body(self, request: LlmRequest) -> dict[str, Any]:
        body = chat_body(request, self.model or "", self._limit_name)
        if not self._sends_temperature:
            body.pop("temperature", None)
        if not self._returns_thoughts:
            drop_thoughts(body)
        return body

    def _adapt(self, body: dict[str, Any], failure: ProviderFailure) -> bool:
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
            raise self.error_of(response)
        names = read_names(response.body) or ()
        if len(names) != 1:
            raise LlmRefusedError(choice(names))
        return names[0]

    async def _send(self, method: str, path: str, body: bytes | None = None) -> Response:
        try:
            return await self._exchange(method, path, body)
        except BodyTooLongError as error:
            raise LlmRefusedError(f"the model server's response is too long: {error}") from error
        except BodyError as error:
            raise LlmError(f"the model server's response can't be read: {error}") from error

    async def _exchange(
        self, method: str, path: str, body: bytes | None = None, *, connect_timeout: float = CONNECT_TIMEOUT
    ) -> Response:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        timeout = httpx.Timeout(None, connect=connect_timeout)
        try:
            async with self._client.stream(
                method, self._base + path, content=body, headers=headers, timeout=timeout
            ) as response:
                content = await read_body(response, MAX_LLM_REPLY_BYTES)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Without the user and the password.
            host = urlsplit(self._base).netloc.rpartition("@")[2]
            if problem := certificate_problem(error):
                raise LlmRefusedError(f"{problem} ({host})") from error
            raise LlmError(f"{_describe(error, connect_timeout)} ({host})") from error
        if self._key and (len(self._key) >= MIN_SECRET_LENGTH or not response.is_success):
            # Replaced before truncation, which could leave a part of it.
            content = content.replace(self._key.encode(), b"[key]")
        location = response.headers.get("location", "").partition("?")[0]
        return Response(response.status_code, content, response.headers.get("retry-after"), location)

    def _error(self, failure: ProviderFailure, response: Response) -> LlmError:
        return error_of(failure, retry_after=response.retry_after, has_key=bool(self._key))


def _base_url(url: str, source: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and not parts.query
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(_not_a_url(url[:200], source))
    return url.rstrip("/").removesuffix("/chat/completions")


def _not_a_url(text: str, source: str) -> str:
    form = "openai:" if source == "--llm" else ""
    remedy = f"{form}https://HOST/v1"
    if "://" not in text and re.search(r"[/:]", text):
        remedy = f"{form}http://{text}"
    elif form and "://" not in text:
        remedy += f", or --llm openai --model {text} for a model of OpenAI"
    return f"{source} {form}{text}: not a URL; use {remedy}"


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _describe(error: BaseException, connect_timeout: float) -> str:
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
        reason = f"no connection within {connect_timeout:g} s"
    return _lower_first(reason or str(error) or type(error).__name__)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
