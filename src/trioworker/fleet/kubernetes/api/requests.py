"""Sends requests to the Kubernetes API, and retries failures that may be temporary."""

from __future__ import annotations

import random
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import msgspec
import trio

from trioworker.fleet.kubernetes.api.outages import MAX_DELAY
from trioworker.fleet.kubernetes.api.refusals import Failure, failure_of_body, failure_of_error, failure_of_response
from trioworker.fleet.kubernetes.api.retries import Retries
from trioworker.fleet.kubernetes.login.credentials import LoginError
from trioworker.protocol.odd_replies import INVALID

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

T = TypeVar("T")

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
"""Seconds for each step of a request. The API server itself gives up after 60 s."""
REQUEST_TIMEOUT = 120.0
"""Seconds for a request with its login."""
CLOSE_TIMEOUT = 1.0
"""Seconds for closing a stream."""
MAX_WARNINGS = 20
"""Maximum number of different API warnings that are shown."""
_WARNING = re.compile(r'\d{3} \S+ "((?:[^"\\]|\\.)*)"')


class ApiRequest:
    """A request to the API. `operation` is the method and the kind of object, such as `POST jobs`."""

    def __init__(
        self,
        operation: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        read_timeout: float | None = READ_TIMEOUT,
    ) -> None:
        self.operation = operation
        self.path = path
        self._params = params
        self._content = None if body is None else msgspec.json.encode(body)
        self._timeout = httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT, read=read_timeout)

    def build(self, http: httpx.AsyncClient) -> httpx.Request:
        """Return the request for this client."""
        method, _, _ = self.operation.partition(" ")
        headers = {"Accept": "application/json", "User-Agent": "trioworker"}
        if self._content is not None:
            headers["Content-Type"] = "application/json"
        return http.build_request(
            method, self.path, params=self._params, content=self._content, headers=headers, timeout=self._timeout
        )


class ApiRequests:
    """Sends requests. Failures that may be temporary are retried until the caller cancels the request.

    Its methods raise:
        RequestRefusedError: the API refuses the request because of its object.
        ConfigError: it refuses all such requests, or could never be reached.
    """

    def __init__(self, http: httpx.AsyncClient, notify: Callable[[str], None], source: str) -> None:
        """`http` has the URL and the login of the API server; `notify` shows a line; `source` names the kubeconfig."""
        self._http = http
        self._notify = notify
        self._api = f"the Kubernetes API at {str(http.base_url).rstrip('/')}"
        self._retries = Retries(self._api, source, notify)
        self._warnings: set[str] = set()

    async def fetch(self, request: ApiRequest, kind: type[T]) -> T:
        """Send a request and decode its answer."""

        def decode(content: bytes) -> T | Failure:
            try:
                return msgspec.json.decode(content, type=kind)
            except INVALID:
                return failure_of_body(request.operation)

        return await self._repeat(request, decode)

    async def fetch_bytes(self, request: ApiRequest) -> bytes:
        """Send a request and return its answer."""
        return await self._repeat(request, lambda content: content)

    @asynccontextmanager
    async def stream(self, request: ApiRequest) -> AsyncGenerator[httpx.Response]:
        """Send a request and return the response without its body. It occupies no slot, since it may last for hours."""
        response = await self._open(request)
        try:
            yield response
        finally:
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await response.aclose()

    async def _repeat(self, request: ApiRequest, decode: Callable[[bytes], T | Failure]) -> T:
        with self._retries.request() as waiter:
            while True:
                async with self._retries.turn(request.operation):
                    started_at = trio.current_time()
                    result = await self._attempt(request)
                answer = result if isinstance(result, Failure) else decode(result)
                if not isinstance(answer, Failure):
                    self._retries.succeeded(request.operation)
                    return answer
                self._retries.failed(request.operation, answer, waiter, started_at)

    async def _open(self, request: ApiRequest) -> httpx.Response:
        with self._retries.request() as waiter:
            while True:
                await self._retries.wait(request.operation)
                started_at = trio.current_time()
                try:
                    response = await self._http.send(request.build(self._http), stream=True)
                    if response.is_success:
                        self._retries.succeeded(request.operation)
                        return response
                    try:
                        await response.aread()
                    finally:
                        await response.aclose()
                    failure = failure_of_response(request.operation, response)
                except (httpx.RequestError, LoginError) as error:
                    failure = failure_of_error(request.operation, error)
                self._retries.failed(request.operation, failure, waiter, started_at)
                # Streams don't wait for each other: without jitter, all would reconnect at the same moment.
                await trio.sleep(random.uniform(0, MAX_DELAY))  # noqa: S311 - nobody gains by predicting a pause

    async def _attempt(self, request: ApiRequest) -> bytes | Failure:
        try:
            with trio.fail_after(REQUEST_TIMEOUT):
                response = await self._http.send(request.build(self._http))
        except (httpx.RequestError, trio.TooSlowError, LoginError) as error:
            return failure_of_error(request.operation, error)
        self._show_warnings(response)
        return response.content if response.is_success else failure_of_response(request.operation, response)

    def _show_warnings(self, response: httpx.Response) -> None:
        """Show each `Warning` header once (RFC 9111, 5.5): Pod Security and deprecations."""
        for header in response.headers.get_list("warning"):
            for quoted in _WARNING.findall(header):
                text = re.sub(r"\\(.)", r"\1", quoted)
                if text not in self._warnings and len(self._warnings) < MAX_WARNINGS:
                    self._warnings.add(text)
                    self._notify(f"{self._api} warns: {text}")
