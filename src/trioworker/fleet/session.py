"""One run of a fleet at the terminal: signals, progress, the table at the end, and the exit code."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from trioworker.errors import ConfigError, WorkerError
from trioworker.fleet.display import Display, terminal_columns
from trioworker.fleet.progress import Progress
from trioworker.fleet.scheduler import Scheduler
from trioworker.fleet.stopping import quit_after, stop_on_signals
from trioworker.fleet.table import table
from trioworker.observability.notices import print_notice
from trioworker.protocol.exit_codes import FAILED, STOPPED, SUCCEEDED
from trioworker.supervision.nurseries import raise_first
from trioworker.supervision.stop_signals import open_stop_receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from trioworker.fleet.display import Observer
    from trioworker.fleet.engine import Engine
    from trioworker.fleet.job_status import JobStatusClient
    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.results import Results
    from trioworker.fleet.scheduler import Finish
    from trioworker.fleet.stopping import Stop

REPEATABLE = ("refused", "unreported", "lost")
"""Statuses of jobs for which the orchestrator may have no report."""
TABLE_COLUMNS = 120
"""Width of the table if stderr isn't a terminal."""


async def run_session(
    jobs: Sequence[FleetJob],
    open_engine: Callable[[Observer], AbstractAsyncContextManager[Engine]],
    job_status: JobStatusClient,
    results: Results,
    stop: Stop,
    *,
    parallel: int,
    attempts: int,
    finish: Finish | None = None,
) -> int:
    """Run the jobs that have no result, and return the exit code: 0 all succeeded, 1 some didn't, 4 stopped.

    `open_engine` gets what shows the jobs. See `Scheduler` for the other arguments.

    Raises:
        ConfigError: no worker can be started; the message says what may still be running.
    """
    columns = terminal_columns()
    earlier = [results.done[job.job_id] for job in jobs if job.job_id in results.done]
    progress = Progress(jobs, earlier, parallel, stop)
    display = Display(progress, columns=columns)
    opened: list[Engine] = []
    # Open until all workers have ended: otherwise a further signal would kill the fleet before them.
    with open_stop_receiver() as signals, _naming_what_is_left(opened), _discarding_unused(results, opened):
        async with trio.open_nursery() as nursery:
            quit_now = nursery.cancel_scope.cancel
            nursery.start_soon(display.run)
            nursery.start_soon(stop_on_signals, signals, stop, lambda: progress.running, display.notify, quit_now)
            async with open_engine(display) as engine:
                opened.append(engine)
                stop_timeout = engine.stop_timeout
                nursery.start_soon(quit_after, stop_timeout, stop, display.notify, quit_now)
                print_notice(_introduction(jobs, len(earlier), parallel))
                scheduler = Scheduler(
                    engine, job_status, results, display, stop, parallel=parallel, attempts=attempts, finish=finish
                )
                await scheduler.run(jobs)
            nursery.cancel_scope.cancel()
    return _conclude(jobs, results, progress, columns or TABLE_COLUMNS, _left_behind(opened))


def summarize(jobs: Sequence[FleetJob], results: Results, not_started: Mapping[str, str]) -> int:
    """Print a summary to stderr, and return the exit code."""
    done = [results.done[job.job_id] for job in jobs if job.job_id in results.done]
    succeeded = sum(result.success is True for result in done)
    reported = sum(result.success is None for result in done)
    left = len(jobs) - len(done) - len(not_started)
    text = f"{_counted(jobs)}: {succeeded} succeeded, {len(done) - succeeded - reported} did not"
    if reported:
        text += f", {reported} with an outcome that only the orchestrator knows"
    if not_started:
        text += f", {len(not_started)} could not be started; run the same command to try again"
    if left:
        text += f", {left} left; run the same command to continue"
    print_notice(text)
    if left:
        return STOPPED
    return SUCCEEDED if succeeded == len(jobs) else FAILED


def is_finished(jobs: Sequence[FleetJob], results: Results) -> bool:
    """Whether all jobs have results. If so, a line says so, and how to rerun the jobs that no worker has reported."""
    if not all(job.job_id in results.done for job in jobs):
        return False
    text = f"nothing is left to do: {_counted(jobs)} with a result in {results.path}"
    failed = sum(results.done[job.job_id].status in REPEATABLE for job in jobs)
    if failed and not jobs[0].fleet:
        text += f"; {failed} refused, unreported or lost: to run such a job again, delete its line from that file"
    print_notice(text)
    return True


def _conclude(jobs: Sequence[FleetJob], results: Results, progress: Progress, columns: int, left: str | None) -> int:
    """Print the table, the summary, and what is left behind; return the exit code."""
    for line in table(jobs, results.done, progress.not_started, columns, progress.waits.reasons):
        sys.stderr.write(f"{line}\n")
    code = summarize(jobs, results, progress.not_started)
    if left is not None:
        print_notice(left)
    return code


@contextmanager
def _discarding_unused(results: Results, opened: Sequence[Engine]) -> Generator[None]:
    """Remove a new file of results if no engine could be opened."""
    try:
        yield
    except BaseException:
        if not opened:
            results.discard()
        raise


@contextmanager
def _naming_what_is_left(opened: Sequence[Engine]) -> Generator[None]:
    """Replace the errors of several jobs with one, which also says what the engine leaves behind."""
    try:
        with raise_first(WorkerError):
            yield
    except WorkerError as error:
        if (left := _left_behind(opened)) is None:
            raise
        raise ConfigError(f"{error}; {left}") from error


def _left_behind(opened: Sequence[Engine]) -> str | None:
    """What the engine may leave running, if it could be opened."""
    return next((text for engine in opened if (text := engine.left_behind()) is not None), None)


def _introduction(jobs: Sequence[FleetJob], earlier: int, parallel: int) -> str:
    left = len(jobs) - earlier
    text = _counted(jobs) + (f", {earlier} with a result" if earlier else "")
    return f"{text}; running {left}, up to {min(parallel, left)} at a time"


def _counted(jobs: Sequence[FleetJob]) -> str:
    noun = "task" if jobs[0].fleet else "job"
    return f"{len(jobs)} {noun}" if len(jobs) == 1 else f"{len(jobs)} {noun}s"
