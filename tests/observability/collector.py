"""A fake OpenTelemetry collector: accepts OTLP over HTTP and decodes the protobuf."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import trio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.tcp_server import tcp_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

Behaviour = Literal["accepts", "refuses", "hangs"]

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
_BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Collector:
    """Accepts spans, answers 503, or never answers. `heads` are the requests without their bodies."""

    behaviour: Behaviour = "accepts"
    heads: list[str] = field(default_factory=list[str])
    spans: list[Span] = field(default_factory=list["Span"])
    resource: dict[str, str] = field(default_factory=dict[str, str])

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[str]:
        """Serve while the block runs; gives the URL."""
        async with tcp_server(self._serve) as port:
            yield f"http://127.0.0.1:{port}"

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    async def _serve(self, stream: trio.SocketStream) -> None:
        received = b""
        try:
            while data := await stream.receive_some():
                received += data
                head, end, body = received.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                if not end or len(body) < (int(length[1]) if length else 0):
                    continue
                received = b""
                self.heads.append(head.decode())
                if self.behaviour == "hangs":
                    await trio.sleep_forever()
                if self.behaviour == "accepts":
                    self._accept(body)
                await stream.send_all(_OK if self.behaviour == "accepts" else _BUSY)
        except trio.BrokenResourceError:
            return

    def _accept(self, body: bytes) -> None:
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = {pair.key: pair.value.string_value for pair in of_resource.resource.attributes}
            for of_scope in of_resource.scope_spans:
                self.spans += of_scope.spans
