"""The benchmark's orchestrator: a process of its own that answers at once, or late on purpose, and notes when.

`python -m benchmarks.orchestrator` prints its port. It speaks as much HTTP/1.1 as workers use: keep-alive and
`Content-Length`. Nothing is checked, for a check would be measured too. `/control/` is the benchmark's own side.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import uuid
from time import perf_counter_ns
from typing import TYPE_CHECKING

import msgspec
from benchmarks.plan import Exchange, Log, Plan, Turn
from benchmarks.processes import cpu_ns, peak_kib

if TYPE_CHECKING:
    from collections.abc import Callable

SETTLED_SECONDS = 0.25
"""Silence after which a worker has nothing left to post: longer than any pause between two posts of a queue."""
FINAL_TEXT = "The file is empty. The job is complete."

_encode = msgspec.json.encode
_NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def answer(body: bytes = b"", status: bytes = b"200 OK") -> bytes:
    """A whole HTTP answer."""
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


class Job:
    """One job: what was told of it, how far it is, and what was seen."""

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
        """Answer a worker's request when its time has come, and note it."""
        cpu: int | None = None
        messages = 0
        if path.startswith("llm/"):
            cpu = cpu_ns(self.pid) if self.pid else None
            messages = body.count(b'"role"')
            settled, reply = self._next_turn()
            delay = self._plan.model_seconds
        else:
            settled, reply = False, _ANSWERS.get(path, answer())
            delay = self._plan.other_seconds
        if path in ("event", "status"):
            self._posted_at = asyncio.get_running_loop().time()
        if path == "complete" and self.pid:
            self._peak_kib = peak_kib(self.pid)

        def reply_now() -> None:
            send(reply)
            replied = perf_counter_ns()
            self._exchanges.append(
                Exchange(path=path, began=began, replied=replied, size=len(body), messages=messages, cpu=cpu)
            )

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
        return turn.settled, answer(_encode(_tool_reply(number, turn)))

    def _when_silent(self, act: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        left = self._posted_at + SETTLED_SECONDS - loop.time()
        if left > 0:
            loop.call_later(left, self._when_silent, act)
        else:
            act()


class Connection(asyncio.Protocol):
    """A connection: cuts the stream into requests and hands them on."""

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
        """`POST /control/` makes a job of a plan, `PUT` tells its worker's process, `DELETE` ends it with its log."""
        if method == "POST" and not job_id:
            job_id = str(uuid.uuid4())
            self._jobs[job_id] = Job(msgspec.json.decode(body, type=Plan))
            return answer(_encode(job_id))
        if method == "PUT":
            self._jobs[job_id].pid = msgspec.json.decode(body, type=int)
        elif method == "DELETE":
            return answer(_encode(self._jobs.pop(job_id).log))
        # Anything else is a body sent for the sake of its bytes.
        return answer()


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


_FINAL = answer(
    _encode(
        {"content": FINAL_TEXT, "tool_calls": [], "input_tokens": 1000, "output_tokens": 20, "finish_reason": "stop"}
    )
)
_ANSWERS = {
    "job": answer(
        _encode({"title": "Benchmark", "description": f"Read a file. Say: {FINAL_TEXT}", "project_dir": None})
    ),
    "credentials": _NO_CONTENT,
    "prompt": _NO_CONTENT,
    "complete": answer(b'{"status": "ok"}'),
}


async def _serve() -> None:
    jobs: dict[str, Job] = {}
    server = await asyncio.get_running_loop().create_server(lambda: Connection(jobs), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    # Whoever started us holds our standard input; its end is ours.
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    # A collection would be seen as a worker's delay; a benchmark's garbage fits into memory.
    gc.disable()
    asyncio.run(_serve())
