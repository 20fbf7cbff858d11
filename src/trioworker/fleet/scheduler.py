"""Runs the jobs that are left: so many at a time, each until its end is final, and each end told once."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec
import trio
from loguru import logger

from trioworker.fleet.engine import Attempt
from trioworker.fleet.results import Result
from trioworker.protocol.exit_codes import BAD_USAGE, FAILED, NO_ORCHESTRATOR, STOPPED, SUCCEEDED, UNREPORTED
from trioworker.supervision.nurseries import unwrap_single_exception

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trioworker.fleet.engine import Engine
    from trioworker.fleet.job_status import JobStatusClient
    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.results import Results

FINAL = (SUCCEEDED, FAILED, BAD_USAGE, STOPPED)
"""Exit codes that no other attempt changes: the end was reported, or the command is wrong."""
FIRST_PAUSE = 1.0
LAST_PAUSE = 30.0
"""Seconds before another attempt: doubled each time, up to the last, half of it by chance."""


class Scheduler:
    """One run of a fleet. `stop` may be called at any time; `run` then returns when what runs has ended."""

    def __init__(
        self, engine: Engine, job_status: JobStatusClient, results: Results, *, parallel: int, attempts: int
    ) -> None:
        """`attempts` is how many workers a job may have, `parallel` how many may run at once."""
        self._engine = engine
        self._job_status = job_status
        self._results = results
        self._attempts = attempts
        self._parallel = trio.Semaphore(parallel)
        self.stopping = trio.Event()

    def stop(self) -> None:
        """Start nothing more, and let what runs report."""
        self.stopping.set()

    async def run(self, jobs: Iterable[FleetJob]) -> None:
        """Run the jobs that have no result yet.

        Raises:
            ConfigError: the results can't be written.
        """
        with unwrap_single_exception():
            async with trio.open_nursery() as nursery:
                for job in jobs:
                    if job.job_id in self._results.done:
                        continue
                    # Here and not in the task, so that the file's order is the order of the starts.
                    if not await self._free():
                        break
                    nursery.start_soon(self._one, job)

    async def _free(self) -> bool:
        """Wait for a free place; False: the fleet stops."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_after, self.stopping, nursery.cancel_scope)
            await self._parallel.acquire()
            nursery.cancel_scope.cancel()
            if not self.stopping.is_set():
                return True
            self._parallel.release()
        return False

    async def _one(self, job: FleetJob) -> None:
        began = trio.current_time()
        try:
            attempt, count = await self._until_final(job)
        finally:
            self._parallel.release()
        if attempt is None:
            return
        self._results.add(
            Result(
                job_id=job.job_id,
                exit_code=attempt.exit_code,
                status=attempt.status,
                success=attempt.success,
                message=attempt.message,
                seconds=round(trio.current_time() - began, 3),
                attempts=count,
                engine=self._engine.name,
                node=attempt.node,
            )
        )
        logger.info("job {}: {} (exit code {})", job.job_id, attempt.status or attempt.message, attempt.exit_code)

    async def _until_final(self, job: FleetJob) -> tuple[Attempt | None, int]:
        """The last attempt, None where the fleet stops before the job's end is known; and how many there were."""
        count, lost = 0, False
        while True:
            attempt = await self._engine.run(job, self.stopping)
            count += attempt.count
            if attempt.exit_code in FINAL:
                return attempt, count
            # Only a refusal that follows a lost worker tells that the lost one had reported.
            lost = lost or attempt.exit_code != NO_ORCHESTRATOR or attempt.count > 1
            known = await self._job_status.ask(job)
            if isinstance(known, Attempt):
                return msgspec.structs.replace(known, node=attempt.node), count
            if known == "revoked" and lost:
                message = "its end was reported by an attempt that was lost; the orchestrator knows how it ended"
                return msgspec.structs.replace(attempt, exit_code=None, status="reported", message=message), count
            if self.stopping.is_set():
                return None, count
            if self._engine.retries or count >= self._attempts:
                return _given_up(attempt), count
            logger.warning("job {}: attempt {}: {}; trying again", job.job_id, count, attempt.message)
            await self._pause(count)
            if self.stopping.is_set():
                return None, count

    async def _pause(self, count: int) -> None:
        # A fleet whose orchestrator was away must not come back in step.
        pause = min(LAST_PAUSE, FIRST_PAUSE * 2 ** (count - 1)) * (0.5 + random.random() / 2)  # noqa: S311
        with trio.move_on_after(pause):
            await self.stopping.wait()


def _given_up(attempt: Attempt) -> Attempt:
    status = "unreported" if attempt.exit_code == UNREPORTED else attempt.status or "lost"
    if attempt.exit_code == NO_ORCHESTRATOR:
        status = "refused"
    return msgspec.structs.replace(attempt, status=status, success=False)


async def _cancel_after(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
