"""What goes over the wire, to the byte, beside what a recording or a replay says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Asked = tuple[str, bytes]
"""A request to the model: its path below the job's, and its body."""


class Wiretap(httpx.AsyncBaseTransport):
    """Notes the requests to the model on their way to another transport."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self.asked: list[Asked] = []
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        if "/llm/" in request.url.path:
            self.asked.append((request.url.path.split("/", 3)[3], body))
        return await self._transport.handle_async_request(request)


class Listener:
    """The same on the side of the server, as ASGI middleware; `asked` is the test's list."""

    def __init__(self, app: ASGIApp, asked: list[Asked]) -> None:
        self._app = app
        self._asked = asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        heard = bytearray()

        async def listen() -> Message:
            message = await receive()
            heard.extend(message.get("body", b""))
            if message["type"] == "http.request" and not message.get("more_body", False):
                self._asked.append((scope["path"].split("/", 3)[3], bytes(heard)))
            return message

        listens = scope["type"] == "http" and "/llm/" in scope["path"]
        await self._app(scope, listen if listens else receive, send)
