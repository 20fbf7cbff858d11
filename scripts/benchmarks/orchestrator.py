"""The benchmark's orchestrator: replies at once or after a fixed delay, and logs the times.

It runs in a thread of the benchmark, whose main thread only waits meanwhile. It speaks only the HTTP/1.1 that workers
use: keep-alive and `Content-Length`. It validates nothing, since that would be measured too.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import msgspec

NOOP_FILE = "empty.txt"
"""Reading an empty file stands for a tool that does nothing: every worker has it, it starts no process and returns
some 100 bytes, and the call still takes the worker's whole path."""
WHOLE_PROCESS_CLOCK = 2
"""CPUCLOCK_SCHED of the kernel's posix-timers.h: user and system time of all threads, including ended ones."""
BUFFER_BYTES = 2**26
"""More than any request: the server never pauses reading."""
BYTES_PER_TOKEN = 4
"""Bytes per token of the fake model, which counts the whole request."""
FINAL_TEXT = "The file is empty. The job is complete."
_CONTENT_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """The reply to one LLM request: `calls` calls of the tool."""

    calls: int = 1
    name: str = "read_file"
    arguments: dict[str, Any] = msgspec.field(default_factory=lambda: {"path": NOOP_FILE})


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A job: its turns, then completion; the seconds that an LLM request and any other request take.

    With `keeps_bodies` the exchanges hold what the model was sent.
    """

    turns: tuple[Turn, ...] = ()
    model_seconds: float = 0.0
    other_seconds: float = 0.0
    keeps_bodies: bool = False


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A request: the times of its head and of its reply's last byte, in ns of `perf_counter_ns`.

    Only LLM requests have `messages`, `body`, and `cpu`: the CPU time in ns that the worker's process had used.
    """

    path: str
    began: int
    replied: int
    messages: int
    cpu: int
    body: bytes = b""


class Job:
    """A job: its plan, its worker, and its exchanges in the order of their replies."""

    def __init__(self, plan: Plan) -> None:
        self.id = str(uuid.uuid4())
        self.plan = plan
        self.exchanges: list[Exchange] = []
        # Of the worker: its process, its start in ns, its CPU seconds in all, its peak memory at its report.
        self.pid = 0
        self.began = 0
        self.cpu = 0.0
        self.peak_kib = 0
        self._turns = enumerate(plan.turns)

    def exchanges_of(self, prefix: str) -> list[Exchange]:
        """The exchanges whose path starts with the prefix."""
        return [one for one in self.exchanges if one.path.startswith(prefix)]

    async def handle(self, path: str, began: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        """Reply to a worker's request after its delay, and log it."""
        messages, cpu = 0, 0
        if path.startswith("llm/"):
            messages, cpu = body.count(b'"role"'), cpu_ns(self.pid)
            reply, delay = self._next_reply(len(body) // BYTES_PER_TOKEN), self.plan.model_seconds
        else:
            reply, delay = _RESPONSES.get(path, _OK), self.plan.other_seconds
        await asyncio.sleep(delay)
        if path == "complete":
            self.peak_kib = peak_kib(self.pid)
        writer.write(reply)
        replied = perf_counter_ns()
        kept = body if messages and self.plan.keeps_bodies else b""
        exchange = Exchange(path=path, began=began, replied=replied, messages=messages, cpu=cpu, body=kept)
        self.exchanges.append(exchange)

    def _next_reply(self, input_tokens: int) -> bytes:
        """The model's next reply."""
        number, turn = next(self._turns, (0, None))
        if turn is None:
            return _model_reply("stop", input_tokens=input_tokens, content=FINAL_TEXT, tool_calls=[])
        call = {"name": turn.name, "arguments": turn.arguments}
        calls = [{"id": f"call_{number}_{index}", **call} for index in range(turn.calls)]
        return _model_reply("tool_calls", input_tokens=input_tokens, content=None, tool_calls=calls)


class Orchestrator:
    """The server, in a thread that ends with the benchmark."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=BUFFER_BYTES))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        threading.Thread(target=loop.run_forever, daemon=True).start()

    def new_job(self, plan: Plan) -> Job:
        """Create a job."""
        job = Job(plan)
        self._jobs[job.id] = job
        return job

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection until the worker closes it or has ended."""
        with suppress(EOFError, OSError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                began = perf_counter_ns()
                length = _CONTENT_LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                _, _, job_id, path = head.split(b" ", 2)[1].decode().split("/", 3)
                await self._jobs[job_id].handle(path, began, body, writer)
        writer.close()


def cpu_ns(pid: int) -> int:
    """CPU time of a process in ns.

    Builds the clock's id as `clock_getcpuclockid(3)` does, which Python lacks.
    """
    return time.clock_gettime_ns((~pid << 3) | WHOLE_PROCESS_CLOCK)


def peak_kib(pid: int) -> int:
    """Peak resident memory of a process in KiB.

    Not a child's `ru_maxrss`, which includes its parent's memory at the fork.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def _response(content: object) -> bytes:
    body = msgspec.json.encode(content)
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _model_reply(finish_reason: str, **message: object) -> bytes:
    return _response({**message, "output_tokens": 20, "finish_reason": finish_reason})


_OK = _response({"status": "ok"})
_NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
_RESPONSES = {
    "job": _response({"title": "Benchmark", "description": f"Read a file. Say: {FINAL_TEXT}", "project_dir": None}),
    "credentials": _NO_CONTENT,
    "prompt": _NO_CONTENT,
}
