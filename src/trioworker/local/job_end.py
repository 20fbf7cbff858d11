"""The end of a job of `trioworker local`: its summary, its journal, and how to continue if it isn't reported."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from trioworker.local.render import report_lines, summary
from trioworker.observability.notices import print_notice
from trioworker.worker.state.journal_file import journal_path

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.local.config import LocalConfig
    from trioworker.local.render import Printer
    from trioworker.orchestrator.store import Store


def show_end(config: LocalConfig, store: Store, job_id: str, printer: Printer, seconds: float) -> None:
    """Print the summary and the report; to stderr if each line of stdout is an event."""
    view = store.view(job_id)
    if view is not None:
        sys.stdout.write(printer.end(view, seconds))
        if config.json_lines:
            print_notice("\n".join([summary(view, seconds), *report_lines(view)]))


def delete_journal(path: Path) -> None:
    """Delete the journal of a job that has ended. A failure doesn't change how the job ended."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        print_notice(f"{path}: the journal of the ended job can't be deleted: {error.strerror}; delete it")


def how_to_continue(config: LocalConfig, job_id: str, deaths: int, code: int) -> str:
    """The notice for a job whose worker died too often and that isn't reported as ended."""
    times = "once" if deaths == 1 else f"{deaths} times"
    last = f"signal {code - 128} ({signal.Signals(code - 128).name})" if code > 128 else f"exit code {code}"
    hint = ", probably because memory ran out" if code == 128 + signal.SIGKILL else ""
    return f"the worker died {times}, last with {last}{hint}; job {job_id} has not ended: {kept(config, job_id)}"


def kept(config: LocalConfig, job_id: str) -> str:
    """Where an unfinished job is kept, to end a notice with."""
    where = f"its journal, from which a worker resumes it, is {journal_path(config.state_dir, job_id)}"
    return where if config.database is None else f"{where}, and the job is in {config.database}"
