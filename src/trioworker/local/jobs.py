"""`trioworker jobs`: lists the jobs in a state folder, or shows one of them."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from trioworker.local.finding import age, job_with_prefix, short
from trioworker.local.render import PlainPrinter, report_lines, shown_lines, summary
from trioworker.observability.notices import print_notice
from trioworker.observability.terminal_text import first_line, fit, one_line
from trioworker.orchestrator.job_lock import holder_of
from trioworker.orchestrator.job_rows import LIST_LIMIT
from trioworker.orchestrator.state_files import database_path
from trioworker.orchestrator.store import Store
from trioworker.protocol.control_characters import escape_line
from trioworker.protocol.exit_codes import SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trioworker.orchestrator.views import JobView

PIPE_WIDTH = 160
"""Columns of a line if standard output isn't a terminal."""
MIN_PLACE_WIDTH = 100
"""Minimum columns of the terminal for which a line also shows the job's workspace."""
MIN_TITLE_WIDTH = 60
"""Minimum columns of the terminal for which the title is on the first line."""
INDENT = " " * 10


def print_jobs(state_dir: Path, job: str | None, *, json_lines: bool) -> int:
    """Print all jobs, newest first, or the one whose id starts with `job`; return the exit code.

    Raises:
        ConfigError: there is no such job, or the database can't be used.
    """
    if not database_path(state_dir).exists():
        return _none(state_dir)
    with Store(database_path(state_dir), option="--state-dir") as store:
        if job is not None:
            view = _with_state(job_with_prefix(store, job), state_dir)
            sys.stdout.writelines([_as_json(view)] if json_lines else _whole(store, view))
            return SUCCEEDED
        views = [_with_state(view, state_dir) for view in store.views()]
    if not views:
        return _none(state_dir)
    width = shutil.get_terminal_size((PIPE_WIDTH, 0)).columns
    sys.stdout.writelines(_as_json(view) if json_lines else _row(view, width) for view in views)
    if len(views) == LIST_LIMIT:
        print_notice(f"only the newest {LIST_LIMIT} jobs are listed")
    return SUCCEEDED


def _none(state_dir: Path) -> int:
    print_notice(f"no jobs in {state_dir} yet; start one with `trioworker local TEXT --llm SPEC`")
    return SUCCEEDED


def _with_state(view: JobView, state_dir: Path) -> JobView:
    """The job with `running` or `interrupted` as its state, if it hasn't ended."""
    if view.ended is not None:
        return view
    state = "interrupted" if holder_of(state_dir, view.id) is None else "running"
    return msgspec.structs.replace(view, state=state)


def _as_json(view: JobView) -> str:
    return json.dumps(msgspec.to_builtins(view)) + "\n"


def _row(view: JobView, width: int) -> str:
    """Id, state, age and title, and on a second line the start of the answer, or how to resume it."""
    head = f"{short(view.id)}  {one_line(view.state, 11):11}  {age(view.created):>6}"
    place = f"  {view.project_dir}" if view.project_dir and width >= MIN_PLACE_WIDTH else ""
    title = escape_line(view.title + place)
    lines = [head, INDENT + title] if width < MIN_TITLE_WIDTH else [f"{head}  {title}"]
    lines = [fit(line, width) for line in lines]
    if answer := first_line((view.report.message if view.report else None) or ""):
        lines.append(fit(INDENT + answer, width))
    elif view.state == "interrupted":
        lines.append(INDENT + _how_to_resume(view))
    return "".join(f"{line}\n" for line in lines)


def _whole(store: Store, view: JobView) -> Iterator[str]:
    """One job: its times and tokens, its task, its events and its answer."""
    facts = {
        "job": view.id,
        "title": view.title,
        "workspace": view.project_dir or "none",
        "started": _moment(view.created),
        "state": summary(view, view.ended - view.created) if view.ended else view.state,
    }
    if view.ended is not None:
        facts["ended"] = _moment(view.ended)
    yield from (f"{name + ':':10} {one_line(value, 1000)}\n" for name, value in facts.items())
    yield "\n" + "".join(f"  {line}\n" for line in shown_lines(view.description)) + "\n"
    printer, after = PlainPrinter(), 0
    while events := store.events(view.id, after):
        after = events[-1].number
        yield from map(printer.show, events)
    yield from (f"{line}\n" for line in report_lines(view))
    if view.state == "interrupted":
        yield f"\n{_how_to_resume(view)}\n"


def _how_to_resume(view: JobView) -> str:
    return f"resume it with: trioworker local --resume {short(view.id)} --llm SPEC"


def _moment(at: float) -> str:
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(at))} ({age(at)} ago)"
