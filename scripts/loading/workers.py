"""Stub workers: the contract's requests of a job, without a model and tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from loading.http import Connection

if TYPE_CHECKING:
    from collections.abc import Sequence

TOOL = {"name": "shell", "description": "Run a command.", "parameters": {"type": "object"}}
OUTPUT = "a line of a test's output\n" * 40
STARTING = 200
"""Upper limit of connections being opened at the same time."""


class Crowd:
    """All workers, the times of their requests, and failed requests."""

    def __init__(self, port: int, turns: int, think: float) -> None:
        """`think` is the time between two turns in seconds, which a model would take."""
        self.seconds: dict[str, list[float]] = {}
        self.failures: list[str] = []
        self.running = 0
        self.peak = 0
        self.events = 4 * turns + 1
        self._port = port
        self._turns = turns
        self._think = think
        self._start = trio.Event()
        self._starting = trio.Semaphore(STARTING)

    async def run(self, jobs: Sequence[tuple[str, str]]) -> None:
        """Run all jobs; they start once every worker is connected."""
        async with trio.open_nursery() as nursery:
            for number, (job_id, token) in enumerate(jobs):
                # Spread the workers' turns over the time that a model takes.
                delay = self._think * number / len(jobs)
                await nursery.start(self._worker, job_id, token, delay)
            self._start.set()

    async def _worker(self, job_id: str, token: str, delay: float, *, task_status: trio.TaskStatus[None]) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self._port) as stream:
            self.running += 1
            self.peak = max(self.peak, self.running)
            task_status.started()
            await self._start.wait()
            await trio.sleep(delay)
            try:
                await self._job(_Client(self, Connection(stream), job_id, token))
            except (OSError, trio.BrokenResourceError) as error:
                self.failures.append(f"{job_id}: {error}")
        self.running -= 1

    async def _job(self, client: _Client) -> None:
        await client.send("GET", "job")
        await client.send("GET", "credentials")
        await client.send("POST", "status", {"state": "in_progress", "message": "started", "iteration": 0})
        messages: list[object] = [{"role": "system", "content": "Work."}, {"role": "user", "content": "Do it."}]
        for _ in range(self._turns):
            await client.send("GET", "prompt")
            request = {"messages": messages, "tools": [TOOL], "max_tokens": 4096, "tool_choice": "auto"}
            await client.send("POST", "llm/complete_with_tools", request)
            await client.event("message", role="assistant", content="I look.")
            await client.event("tool_use", tool_name="shell", input='{"command": "make test"}')
            await client.event("tool_result", tool_name="shell", output=OUTPUT, success=True)
            await client.event("status", message="turn")
            await trio.sleep(self._think)
        await client.event("result", success=True, message="done", status="completed")
        await client.send("POST", "complete", {"success": True, "message": "done", "iterations": self._turns})


class _Client:
    def __init__(self, crowd: Crowd, connection: Connection, job_id: str, token: str) -> None:
        self._crowd = crowd
        self._connection = connection
        self._base = f"/worker/{job_id}/"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._seq = 0

    async def send(self, method: str, path: str, body: object = None) -> None:
        began = trio.current_time()
        status, content = await self._connection.request(method, self._base + path, body, self._headers)
        self._crowd.seconds.setdefault(path, []).append(trio.current_time() - began)
        if status not in {200, 204}:
            self._crowd.failures.append(f"{method} {self._base}{path}: {status} {content[:200]!r}")

    async def event(self, event_type: str, **data: object) -> None:
        await self.send("POST", "event", {"event_type": event_type, "data": {"seq": self._seq, **data}})
        self._seq += 1
