"""An engine without processes, for the tests of a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trioworker.fleet.engine import Attempt
from trioworker.protocol.exit_codes import STOPPED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trioworker.fleet.jobs import FleetJob

LOST = Attempt(exit_code=None, message="the worker was killed by signal 9")


def ended(code: int) -> Attempt:
    """How a worker with this exit code ended."""
    return Attempt(exit_code=code, status="completed" if code == 0 else "failed", success=code == 0)


class ScriptedEngine:
    """Workers that run for a second and end with `ends`, attempt by attempt; the last one repeats.

    Attributes:
        started: the ids of the jobs, one for each attempt.
        given: the jobs as the engine got them.
        on_start: awaited with each job when its worker starts.
        left: what `left_behind` returns.
    """

    name = "scripted"
    stop_timeout = 40.0

    def __init__(self, *ends: Attempt) -> None:
        self.ends = ends
        self.started: list[str] = []
        self.given: list[FleetJob] = []
        self.running = 0
        self.max_running = 0
        self.left: str | None = None
        self.on_start: Callable[[FleetJob], Awaitable[None]] | None = None

    def left_behind(self) -> str | None:
        """See `Engine`."""
        return self.left

    async def run(self, job: FleetJob, stopping: trio.Event) -> Attempt:
        """See `Engine`. A stopped worker ends with exit code 4, unless the script says so itself."""
        self.started.append(job.job_id)
        self.given.append(job)
        self.running += 1
        self.max_running = max(self.max_running, self.running)
        if self.on_start is not None:
            await self.on_start(job)
        with trio.move_on_after(1) as scope:
            await stopping.wait()
        self.running -= 1
        end = self.ends[min(self.started.count(job.job_id), len(self.ends)) - 1]
        return end if scope.cancelled_caught or end.exit_code == STOPPED else ended(STOPPED)
