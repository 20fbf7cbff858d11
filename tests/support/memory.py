"""The memory of a real worker: the most that it had at any time, as the kernel counts it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from support.realjob import RealJob, real_orchestrator, real_worker
from trioworker.protocol.limits import MIB

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from trioworker.orchestrator.store import Store

MAX_RESIDENT_BYTES = 300 * MIB
"""What a worker may take (docs/performance.md)."""
DONE = b'{"content": "The job is complete.", "finish_reason": "stop"}'


class Measured(msgspec.Struct):
    """A job that has ended, and the peak of its worker's resident memory in bytes (VmHWM of proc(5))."""

    job: RealJob
    peak: int = 0


def calls(*given: tuple[str, dict[str, Any]]) -> bytes:
    """A reply with these calls."""
    listed = [{"id": f"call_{number}", "name": name, "arguments": value} for number, (name, value) in enumerate(given)]
    return msgspec.json.encode({"content": None, "tool_calls": listed, "finish_reason": "tool_use"})


@asynccontextmanager
async def measured(
    store: Store,
    workspace: Path,
    replies: Sequence[bytes],
    *options: str,
    environment: Mapping[str, str] | None = None,
    on_start: Callable[[int], object] = lambda _: None,
) -> AsyncGenerator[Measured]:
    """Run a job to its end. The replies are the bodies of the model's responses, which need not be JSON; the job is
    done after the last one. `on_start` is called with the PID of the worker.
    """
    waiting = list(replies)
    async with real_orchestrator(store) as orchestrator:

        async def intervene(_method: str, path: str) -> Response | None:
            if path == "complete":
                ended.peak = peak_of(ended.job.program.pid)
            if path.startswith("llm/"):
                return Response(waiting.pop(0) if waiting else DONE, media_type="application/json")
            return None

        orchestrator.intervene = intervene
        async with real_worker(orchestrator, workspace, *options, environment=environment) as job:
            on_start(job.program.pid)
            ended = Measured(job)
            await job.ended()
            yield ended


def peak_of(pid: int) -> int:
    """The peak of a process's resident memory in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
