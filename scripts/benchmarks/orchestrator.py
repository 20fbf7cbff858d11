"""The benchmark's orchestrator: replies at once or after a fixed delay, and logs the times.

`python -m benchmarks.orchestrator` prints its port. It speaks only the HTTP/1.1 that workers use: keep-alive and
`Content-Length`. It validates nothing, since that would be measured too. `/control/` is for the benchmark itself.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import uuid
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING

import msgspec
from benchmarks.plan import Exchange, Log, Plan, Turn

if TYPE_CHECKING:
    from collections.abc import Callable

SETTLED_SECONDS = 0.25
"""Silence after which a worker has nothing left to post: longer than any pause between two posts of a queue."""
WHOLE_PROCESS_CLOCK = 2
"""CPUCLOCK_SCHED of the kernel's posix-timers.h: user and system time of all threads, including ended ones."""
FINAL_TEXT = "The file is empty. The job is complete."

_encode = msgspec.json.encode
_NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def response(body: bytes = b"") -> bytes:
    """A whole HTTP response."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class Job:
    """One job: its plan, its progress, and its log."""

    def __init__(self, plan: Plan) -> None:
        self.pid: int | None = None
        self._plan = plan
        self._turns = 0
        self._exchanges: list[Exchange] = []
        self._posted_at = 0.0
        self._peak_kib: int | None = None

    @property
    def log(self) -> Log:
        return Log(exchanges=tuple(self._exchanges), peak_kib=self._peak_kib)

    def handle(self, path: str, began: int, body: bytes, send: Callable[[bytes], None]) -> None:
        """Reply to a worker's request after its delay, and log it."""
        cpu: int | None = None
        messages = 0
        if path.startswith("llm/"):
            cpu = cpu_ns(self.pid) if self.pid else None
            messages = body.count(b'"role"')
            settled, reply = self._next_turn()
            delay = self._plan.model_seconds
        else:
            settled, reply = False, _RESPONSES.get(path, response())
            delay = self._plan.other_seconds
        if path in ("event", "status"):
            self._posted_at = asyncio.get_running_loop().time()
        if path == "complete" and self.pid:
            self._peak_kib = peak_kib(self.pid)

        def reply_now() -> None:
            send(reply)
            replied = perf_counter_ns()
            self._exchanges.append(Exchange(path=path, began=began, replied=replied, messages=messages, cpu=cpu))

        if settled:
            self._when_silent(reply_now)
        elif delay:
            asyncio.get_running_loop().call_later(delay, reply_now)
        else:
            reply_now()

    def _next_turn(self) -> tuple[bool, bytes]:
        number = self._turns
        self._turns += 1
        if number >= len(self._plan.turns):
            return False, _FINAL
        turn = self._plan.turns[number]
        return turn.settled, response(_encode(_tool_reply(number, turn)))

    def _when_silent(self, act: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        left = self._posted_at + SETTLED_SECONDS - loop.time()
        if left > 0:
            loop.call_later(left, self._when_silent, act)
        else:
            act()


class Connection(asyncio.Protocol):
    """A connection: splits the stream into requests."""

    def __init__(self, jobs: dict[str, Job]) -> None:
        self._jobs = jobs
        self._buffer = bytearray()
        self._began = 0
        self._head = b""
        self._end = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._write = transport.write

    def data_received(self, data: bytes) -> None:
        if not self._buffer:
            self._began = perf_counter_ns()
        self._buffer += data
        if not self._head:
            head, end, _ = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = bytes(head)
            self._end = len(head) + 4 + _content_length(self._head)
        if len(self._buffer) < self._end:
            return
        body = bytes(self._buffer[len(self._head) + 4 : self._end])
        method, path, _ = self._head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        self._head = b""
        self._buffer.clear()
        self._handle(method, path, body)

    def _handle(self, method: str, path: str, body: bytes) -> None:
        _, side, job_id, rest = [*path.split("/", 3), "", "", ""][:4]
        if side == "worker":
            self._jobs[job_id].handle(rest, self._began, body, self._write)
        else:
            self._write(self._control(method, job_id, body))

    def _control(self, method: str, job_id: str, body: bytes) -> bytes:
        """`POST /control/` creates a job, `PUT` names its worker's process, `DELETE` returns its log and forgets it."""
        if method == "POST" and not job_id:
            job_id = str(uuid.uuid4())
            self._jobs[job_id] = Job(msgspec.json.decode(body, type=Plan))
            return response(_encode(job_id))
        if method == "PUT":
            self._jobs[job_id].pid = msgspec.json.decode(body, type=int)
        elif method == "DELETE":
            return response(_encode(self._jobs.pop(job_id).log))
        return response()


def cpu_ns(pid: int) -> int | None:
    """CPU time of a process in ns; None if it has ended.

    Builds the clock's id as `clock_getcpuclockid(3)` does, which Python lacks.
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | WHOLE_PROCESS_CLOCK)
    except OSError:
        return None


def peak_kib(pid: int) -> int | None:
    """Peak resident memory of a process in KiB; None if it has ended.

    Not a child's `ru_maxrss`, which includes its parent's memory at the fork.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    lines = (line.split() for line in status.splitlines())
    return next((int(words[1]) for words in lines if words[:1] == ["VmHWM:"]), None)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def _tool_reply(number: int, turn: Turn) -> dict[str, object]:
    calls = [
        {"id": f"call_{number}_{index}", "name": turn.name, "arguments": turn.arguments} for index in range(turn.calls)
    ]
    return {
        "content": None,
        "tool_calls": calls,
        "input_tokens": 1000,
        "output_tokens": 20,
        "finish_reason": "tool_calls",
    }


_FINAL = response(
    _encode(
        {"content": FINAL_TEXT, "tool_calls": [], "input_tokens": 1000, "output_tokens": 20, "finish_reason": "stop"}
    )
)
_RESPONSES = {
    "job": response(
        _encode({"title": "Benchmark", "description": f"Read a file. Say: {FINAL_TEXT}", "project_dir": None})
    ),
    "credentials": _NO_CONTENT,
    "prompt": _NO_CONTENT,
    "complete": response(b'{"status": "ok"}'),
}


async def _serve() -> None:
    jobs: dict[str, Job] = {}
    server = await asyncio.get_running_loop().create_server(lambda: Connection(jobs), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    # The benchmark holds our standard input open until it ends.
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    # A collection would count as a worker's delay; the garbage of a benchmark fits into memory.
    gc.disable()
    asyncio.run(_serve())
