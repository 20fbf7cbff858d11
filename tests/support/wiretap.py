"""The requests to the model as they go over the wire, to compare with what a recording or a replay says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

ModelRequest = tuple[str, bytes]
"""A request to the model: its path below the job's, and its body."""


class Wiretap(httpx.AsyncBaseTransport):
    """Keeps the requests to the model on their way to another transport."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self.requests: list[ModelRequest] = []
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        if "/llm/" in request.url.path:
            self.requests.append((request.url.path.split("/", 3)[3], body))
        return await self._transport.handle_async_request(request)


class WiretapMiddleware:
    """The same for the server, as ASGI middleware; `requests` is the test's list."""

    def __init__(self, app: ASGIApp, requests: list[ModelRequest]) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()

        async def record() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            if message["type"] == "http.request" and not message.get("more_body", False):
                self._requests.append((scope["path"].split("/", 3)[3], bytes(body)))
            return message

        is_model_request = scope["type"] == "http" and "/llm/" in scope["path"]
        await self._app(scope, record if is_model_request else receive, send)
