"""Renders a job's events for a terminal, in colour, with Rich."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from trioworker.local.render import EventFormatter, report_lines, summary

if TYPE_CHECKING:
    from trioworker.orchestrator.views import JobView, StoredEvent

STYLES = {
    "message": "bold",
    "call": "cyan",
    "result": "green",
    "warning": "yellow",
    "error": "red",
    "status": "dim",
    "done": "bold green",
    "failed": "bold red",
}
MARKS = {"call": "▶", "result": "✔", "warning": "✘", "error": "✘", "message": "●", "done": "■", "failed": "■"}
NAME_WIDTH = 12


class RichPrinter:
    """One line for each event: speaker or tool, text, duration, and tokens so far. Text isn't parsed as Rich markup."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._formatter = EventFormatter()
        self._start: float | None = None

    def show(self, event: StoredEvent) -> str:
        """The event; further lines are dimmed."""
        self._start = event.at if self._start is None else self._start
        row = self._formatter.row(event)
        style = STYLES.get(row.kind, "")
        line = Text.assemble(
            (f"{event.at - self._start:6.1f}s ", "dim"),
            (f"{MARKS.get(row.kind, '·')} {row.who:{NAME_WIDTH}} ", style),
            (row.text, style if row.kind in {"message", "done", "failed"} else ""),
        )
        if row.seconds is not None:
            line.append(f"  {row.seconds:.2f} s", "dim")
        used = event.usage
        if row.kind in {"message", "call"} and used.input_tokens + used.output_tokens:
            line.append(f"  {used.input_tokens} + {used.output_tokens} tokens", "dim")
        indent = " " * (NAME_WIDTH + 9)
        lines = [line, *(Text(f"{indent}│ {each}", "dim") for each in row.body)]
        return self._rendered(lines)

    def end(self, job: JobView, seconds: float, /) -> str:
        """The metrics, if there are any, the summary in green or red, and the whole report."""
        good = job.report is not None and job.report.success
        lines = [Text(self._formatter.metrics, "dim")] if self._formatter.metrics else []
        lines.append(Text(summary(job, seconds), "bold green" if good else "bold red"))
        return self._rendered([*lines, *map(Text, report_lines(job))])

    def _rendered(self, lines: list[Text]) -> str:
        console = Console(file=io.StringIO(), force_terminal=True, width=self._width, highlight=False)
        with console.capture() as capture:
            for line in lines:
                console.print(line, soft_wrap=True)
        return capture.get()
