"""Runs the jobs that have no result, a limited number at a time, each until its outcome is final."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio

from trioworker.errors import WorkerError
from trioworker.fleet.back_off import back_off
from trioworker.fleet.engine import REPORTED, Attempt, NotStartedError
from trioworker.fleet.results import Result
from trioworker.protocol.exit_codes import BAD_USAGE, NO_ORCHESTRATOR, STOPPED, UNREPORTED
from trioworker.supervision.nurseries import cancelled_after, raise_first

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from trioworker.fleet.display import Observer
    from trioworker.fleet.engine import Engine
    from trioworker.fleet.job_status import JobStatusClient, KnownOutcome
    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.results import Results
    from trioworker.fleet.stopping import Stop

    Finish = Callable[[FleetJob, Result], Awaitable[None]]

INITIAL_RETRY_DELAY = 1.0
MAX_RETRY_DELAY = 30.0
"""Seconds before another attempt: see `back_off`."""
PATIENCE = 300.0
"""Seconds for which an orchestrator that doesn't answer is asked again before a job is left for a rerun."""


class Scheduler:
    """One run of a fleet. When `stop` drains it, `run` returns after the running workers have ended."""

    def __init__(
        self,
        engine: Engine,
        job_status: JobStatusClient,
        results: Results,
        observer: Observer,
        stop: Stop,
        *,
        parallel: int,
        attempts: int,
        finish: Finish | None = None,
    ) -> None:
        """`attempts` is the maximum number of workers per job, `parallel` that of concurrent workers.

        `finish` is called for each job after its result is on disk.
        """
        self._engine = engine
        self._job_status = job_status
        self._results = results
        self._observer = observer
        self._stop = stop
        self._attempts = attempts
        self._parallel = trio.Semaphore(parallel)
        self._finish = finish

    async def run(self, jobs: Iterable[FleetJob]) -> None:
        """Run the jobs that have no result yet.

        Raises:
            ConfigError: the results can't be written, or the engine can't start workers.
        """
        # Several jobs may meet the same full disk.
        with raise_first(WorkerError):
            await self._run_all(jobs)

    async def _run_all(self, jobs: Iterable[FleetJob]) -> None:
        async with trio.open_nursery() as nursery:
            for job in jobs:
                if job.job_id in self._results.done:
                    continue
                # Not in the task, so that the jobs start in the order of the file.
                if not await self._acquire_slot():
                    break
                nursery.start_soon(self._run_job, job)

    async def _acquire_slot(self) -> bool:
        """Wait until another worker may run; return False if the fleet is stopped."""
        async with cancelled_after(self._stop.draining.wait):
            await self._parallel.acquire()
            if not self._stop.draining.is_set():
                return True
            self._parallel.release()
        return False

    async def _run_job(self, job: FleetJob) -> None:
        started_at = trio.current_time()
        self._observer.started(job)
        try:
            attempt, count = await self._run_until_final(job)
        except NotStartedError as error:
            self._observer.not_started(job, str(error))
            return
        finally:
            self._parallel.release()
        if attempt is None:
            self._observer.left(job)
            return
        result = Result(
            job_id=job.job_id,
            exit_code=attempt.exit_code,
            status=attempt.status,
            success=attempt.success,
            message=self._message(attempt),
            seconds=round(trio.current_time() - started_at, 3),
            attempts=count,
            engine=self._engine.name,
            node=attempt.node,
            title=job.title,
            workspace=job.workspace,
            input_tokens=attempt.input_tokens,
            output_tokens=attempt.output_tokens,
            fleet=job.fleet,
        )
        self._results.add(result)
        self._observer.ended(job, result)
        if self._finish is not None:
            await self._finish(job, result)

    def _message(self, attempt: Attempt) -> str | None:
        """The attempt's message. A worker that the fleet stopped knows only the signal."""
        if attempt.message is None or attempt.exit_code != STOPPED or not self._stop.cancelling.is_set():
            return attempt.message
        return attempt.message.replace("stopped by SIGTERM", "the fleet was stopped")

    async def _run_until_final(self, job: FleetJob) -> tuple[Attempt | None, int]:
        """Return the last attempt, or None if the fleet is stopped before the outcome is known; and their number."""
        # The earlier fleet may have lost workers that had already reported.
        count, lost = 0, self._results.is_rerun
        while True:
            attempt = await self._engine.run(job, self._stop.cancelling)
            count += attempt.count
            if attempt.exit_code == BAD_USAGE:
                return msgspec.structs.replace(attempt, status="failed", success=False), count
            if attempt.exit_code in REPORTED:
                return attempt, count
            # A refused token means that the job was reported only if a worker was lost before: otherwise it is wrong.
            lost = lost or attempt.exit_code != NO_ORCHESTRATOR or attempt.had_predecessors
            is_last = count >= self._attempts if attempt.is_last is None else attempt.is_last
            outcome = await self._ask(job, patiently=is_last)
            if isinstance(outcome, Attempt):
                return msgspec.structs.replace(outcome, node=attempt.node), count
            if outcome == "revoked" and lost:
                message = (
                    "the job's token is refused, so a worker has reported the job; the orchestrator has the outcome"
                )
                return msgspec.structs.replace(attempt, exit_code=None, status="reported", message=message), count
            if self._stop.draining.is_set() or (is_last and outcome == "unanswered"):
                return None, count
            if is_last:
                return _exhausted(attempt), count
            if attempt.count:
                self._observer.retried(job, count, attempt.message or "the worker was lost")
            await self._wait_before_retry(count)
            if self._stop.draining.is_set():
                return None, count

    async def _ask(self, job: FleetJob, *, patiently: bool) -> KnownOutcome:
        """Ask the orchestrator for the job's outcome. `patiently`: retry if it doesn't answer."""
        started_at, count = trio.current_time(), 0
        while True:
            outcome = await self._job_status.fetch_outcome(job)
            is_over = not patiently or trio.current_time() >= started_at + PATIENCE or self._stop.draining.is_set()
            if outcome != "unanswered" or is_over:
                break
            self._observer.waiting(job, "the orchestrator, which may have the outcome, doesn't answer")
            count += 1
            await self._wait_before_retry(count)
        if count:
            self._observer.waiting(job, None)
        return outcome

    async def _wait_before_retry(self, count: int) -> None:
        with trio.move_on_after(back_off(count, initial=INITIAL_RETRY_DELAY, maximum=MAX_RETRY_DELAY)):
            await self._stop.draining.wait()


def _exhausted(attempt: Attempt) -> Attempt:
    status = "unreported" if attempt.exit_code == UNREPORTED else attempt.status or "lost"
    if attempt.exit_code == NO_ORCHESTRATOR:
        status = "refused"
    return msgspec.structs.replace(attempt, status=status, success=False)
