"""The table at the end of a fleet: each job with its state, time, tokens, and the first line of its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trioworker.observability.terminal_text import columns_of, duration, first_line, fit, pad

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.results import Result

MAX_ROWS = 50
"""Rows of a table; of a longer list, only the jobs that did not succeed are shown."""
MAX_NAME = 40
"""Columns of a name, which leaves at least as many for the answer."""


class _Row(NamedTuple):
    name: str
    state: str
    time: str
    tokens: str
    answer: str


HEAD = _Row("TASK", "STATE", "TIME", "TOKENS", "ANSWER OR REASON")


def table(
    jobs: Sequence[FleetJob],
    done: Mapping[str, Result],
    not_started: Mapping[str, str],
    columns: int,
    waiting: Mapping[str, str] | None = None,
) -> list[str]:
    """The lines of the table, each at most `columns` cells wide; control characters are escaped.

    `not_started` contains why jobs could not be started, and `waiting` why jobs were still waiting to start.
    """
    shown = jobs
    if len(jobs) > MAX_ROWS:
        shown = [job for job in jobs if job.job_id not in done or not done[job.job_id].success]
    rows = [HEAD, *(_row(job, done.get(job.job_id), not_started, waiting or {}) for job in shown[:MAX_ROWS])]
    # Jobs of a foreign orchestrator: only that knows the tokens.
    if not any(row.tokens for row in rows[1:]):
        rows = [row._replace(tokens="") for row in rows]
    fixed = [max(columns_of(row[column]) for row in rows) for column in (1, 2, 3)]
    room = columns - sum(width + 2 for width in fixed if width) - 2
    name = min(max(columns_of(row.name) for row in rows), MAX_NAME, max(room // 2, 1))
    lines = [fit(_line(row, [name, *fixed]), columns) for row in rows] if len(rows) > 1 else []
    hidden = len(jobs) - len(rows) + 1
    return [*lines, f"… and {hidden} more"] if hidden and lines else lines


def _row(job: FleetJob, result: Result | None, not_started: Mapping[str, str], waiting: Mapping[str, str]) -> _Row:
    name = first_line(job.name)
    if result is None:
        if (reason := not_started.get(job.job_id)) is not None:
            return _Row(name, "not started", "", "", first_line(reason))
        reason = waiting.get(job.job_id)
        return _Row(name, "left", "", "", "" if reason is None else f"waiting: {first_line(reason)}")
    tokens = None if result.input_tokens is None else result.input_tokens + (result.output_tokens or 0)
    return _Row(
        name,
        first_line(result.status or "failed"),
        duration(result.seconds),
        "" if tokens is None else f"{tokens:,}",
        first_line(result.message or ""),
    )


def _line(row: _Row, widths: Sequence[int]) -> str:
    cells = [pad(text, width) for text, width in zip(row, widths, strict=False) if width]
    return "  ".join([*cells, row.answer]).rstrip()
