"""The client's requests with example bodies, for the tests of the client."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from support.identity import JOB_ID, TOKEN, URL
from support.scripted_transport import json
from trioworker.protocol import wire
from trioworker.worker.cancellation import ReportDelivery
from trioworker.worker.client.orchestrator_client import OrchestratorClient
from trioworker.worker.config import WorkerConfig

if TYPE_CHECKING:
    import httpx

JOB = json({"title": "Fix it", "description": "All of it.", "project_dir": None})
REPLY: dict[str, Any] = {
    "content": "Hello",
    "tool_calls": [],
    "input_tokens": 3,
    "output_tokens": 4,
    "finish_reason": "stop",
}
REPORT = wire.CompletionReport(success=True, message="done", iterations=3)
CHAT = wire.CompletionRequest(messages=(msgspec.Raw(b'{"role":"user","content":"hi"}'),), max_tokens=7, temperature=0.7)
TOOL_CHAT = wire.ToolCompletionRequest(
    messages=CHAT.messages, tools=msgspec.Raw(b"[]"), max_tokens=9, tool_choice="auto"
)

Request = Callable[[OrchestratorClient], Awaitable[object]]


class Longest(random.Random):
    """Jitter at its upper bound."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


def connect(
    transport: httpx.AsyncBaseTransport | None, *, url: str = URL, rng: random.Random | None = None, **more: Any
) -> OrchestratorClient:
    """A client with the same jitter in every run. `more` are fields of its configuration."""
    config = WorkerConfig(job_id=JOB_ID, token=TOKEN, orchestrator_url=url, workspace=Path("/"), **more)
    return OrchestratorClient(config, transport=transport, rng=rng or random.Random(7))


async def post_event(client: OrchestratorClient) -> None:
    """A request whose response has no content."""
    await client.post("event", b'{"event_type":"status","data":{}}')


async def send_report(client: OrchestratorClient) -> None:
    """The report, in a first attempt."""
    await client.report(REPORT, ReportDelivery())


async def ask_for_text(client: OrchestratorClient) -> None:
    """A request for a text reply."""
    await client.complete_chat(CHAT)


async def ask_with_tools(client: OrchestratorClient) -> None:
    """A request for a reply that may call tools."""
    await client.complete_with_tools(TOOL_CHAT)
