"""The end of a job of `trioworker local`: its summary, its journal, and how to continue if it isn't reported."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from trioworker.local.finding import short
from trioworker.local.render import report_lines, summary
from trioworker.observability.notices import print_notice
from trioworker.orchestrator.database import unlocked
from trioworker.protocol.exit_codes import BAD_USAGE, INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trioworker.local.config import LocalConfig
    from trioworker.local.opening import OpenJob
    from trioworker.local.render import Printer
    from trioworker.local.worker_process import WorkerProcess
    from trioworker.orchestrator.store import Store


async def end_or_keep(
    config: LocalConfig, store: Store, job: OpenJob, worker: WorkerProcess, code: int, *, stopped: bool
) -> int:
    """End the job if its worker didn't report it, or keep it unfinished and say how to resume it.

    `code` is the worker's exit code, and `stopped` whether the user stopped the job. Sets `ended` of the job's lock if
    the job has ended. Returns our exit code.
    """
    if worker.died and not stopped:
        print_notice(f"{_death(worker.deaths, code)}; {unfinished(config, job)}")
        return INTERRUPTED
    if job.resumed and code == BAD_USAGE and not stopped:
        # The worker has said what is wrong. The job, which was fine before, can be resumed with other options.
        print_notice(unfinished(config, job))
        return code
    end = store.cancel if stopped else store.abandon
    await unlocked(end, job.id, f"the worker ended with exit code {code} and no report")
    job.lock.ended = True
    return code


async def show_end(
    config: LocalConfig, store: Store, job_id: str, printer: Printer, seconds: float, changes: Sequence[str]
) -> None:
    """Print the summary and the report; to stderr if each line of stdout is an event."""
    view = await unlocked(store.view, job_id)
    if view is not None:
        sys.stdout.write(printer.end(view, seconds, changes=changes, more=f"trioworker jobs {short(job_id)}"))
        if config.json_lines:
            print_notice("\n".join([summary(view, seconds), *report_lines(view)]))


def delete_journal(path: Path) -> None:
    """Delete the journal of a job that has ended. A failure doesn't change how the job ended."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        print_notice(f"{path}: the journal of the ended job can't be deleted: {error.strerror}; delete it")


def unfinished(config: LocalConfig, job: OpenJob) -> str:
    """That a job has not ended, and how to resume it."""
    command = f"`trioworker local --resume {short(job.id)}`"
    # With --new, the same command would start another job.
    how = f"use {command}" if config.new else f"run the same command again, or {command}"
    return f"job {short(job.id)} has not ended; to resume it, {how}"


def _death(deaths: int, code: int) -> str:
    times = "once" if deaths == 1 else f"{deaths} times"
    last = f"signal {code - 128} ({signal.Signals(code - 128).name})" if code > 128 else f"exit code {code}"
    hint = ", probably because memory ran out" if code == 128 + signal.SIGKILL else ""
    return f"the worker died {times}, last with {last}{hint}"
