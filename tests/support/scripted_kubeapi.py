"""A Kubernetes API whose responses a handler gives, and a client of it, in virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import trio

from trioworker.fleet.kubernetes.api.client import KubernetesClient

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    Answer = httpx.Response | Exception
    Handler = Callable[[httpx.Request], Answer]

JOB = {"kind": "Job", "metadata": {"name": "trioworker-1", "uid": "u-1"}}
API = "the Kubernetes API at http://kubernetes.test"


def refusal(code: int, reason: str, message: str, headers: dict[str, str] | None = None) -> httpx.Response:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return httpx.Response(code, json=body, headers=headers)


def jobs_response(count: int = 0, **metadata: str) -> httpx.Response:
    return httpx.Response(200, json={"kind": "JobList", "metadata": metadata, "items": [JOB] * count})


class Api:
    """Answers with a handler's responses, and records the requests, their times, and the lines that are shown."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[httpx.Request] = []
        self.times: list[float] = []
        self.lines: list[str] = []
        self.latency = 0.0

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[KubernetesClient]:
        transport = httpx.MockTransport(self._answer)
        async with httpx.AsyncClient(transport=transport, base_url="http://kubernetes.test") as http:
            yield KubernetesClient(http, "jobs", self.lines.append, "/home/u/.kube/config")

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.times.append(trio.current_time())
        await trio.sleep(self.latency)
        answer = self.handler(request)
        if isinstance(answer, Exception):
            raise answer
        return answer


def in_turn(*answers: Answer) -> Handler:
    """Return a handler of these answers, the last of which repeats."""
    left = list(answers)

    def handler(request: httpx.Request) -> Answer:
        answer = left.pop(0) if len(left) > 1 else left[0]
        # A response object can be sent once.
        return (
            answer
            if isinstance(answer, Exception)
            else httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        )

    return handler


def failing_between(start: float, end: float, failure: Answer) -> Handler:
    """Return a handler that answers with a failure from `start` to `end`, in seconds from now."""
    now = trio.current_time()
    failing, working = in_turn(failure), in_turn(jobs_response(1))
    return lambda request: (failing if now + start <= trio.current_time() < now + end else working)(request)
