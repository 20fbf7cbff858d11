"""Renders a job's events for a terminal, in colour, with Rich. Text isn't parsed as Rich markup."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from trioworker.local.call_text import call_text
from trioworker.local.render import EventFormatter, summary
from trioworker.local.render_markdown import markdown_lines
from trioworker.observability.terminal_text import one_line
from trioworker.protocol.control_characters import escape_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trioworker.local.render import Row
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
DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}
NAME_WIDTH = 12
INDENT = NAME_WIDTH + 12
"""Columns before the text: those of the time, the mark and the name."""
NARROW = 60
"""A terminal with fewer columns has no columns for time and name: the text begins at the left."""
DIFF_LINES = 40
"""Lines of a diff that are shown: half from the start and half from the end."""
CALL_WIDTH = 200
"""Columns of a call's arguments that are shown."""
ANSWER_WIDTH = 100
"""Maximum columns of the answer: longer lines are hard to read."""


class RichPrinter:
    """One paragraph for each event: the time, the speaker or tool, the duration, and the text.

    `columns` returns the terminal's current width. A message of the agent is held back until the next event: the last
    message is usually the answer, which is printed at the end.
    """

    def __init__(self, columns: Callable[[], int]) -> None:
        self._columns = columns
        self._formatter = EventFormatter(diff_lines=DIFF_LINES)
        self._start: float | None = None
        self._held: StoredEvent | None = None

    def show(self, event: StoredEvent) -> str:
        """The event, after one that was held back."""
        self._start = event.at if self._start is None else self._start
        if event.event_type == "result" and self._held and _text_of(self._held) == event.data.get("message"):
            self._held = None
        before = self.release()
        if event.event_type == "message" and event.data.get("role") == "assistant":
            self._held = event
            return before
        return before + self._shown(event)

    def release(self) -> str:
        """The message that was held back, or an empty string."""
        held, self._held = self._held, None
        return self._shown(held) if held else ""

    def end(self, job: JobView, seconds: float, /, *, changes: Sequence[str] = (), more: str = "") -> str:
        """The whole report, the changes, the summary in green or red, the metrics, and how to see more."""
        console = self._console()
        message = (job.report.message if job.report else None) or ""
        lines = markdown_lines(message, console, min(console.width, ANSWER_WIDTH)) if message.strip() else []
        lines = [Text(""), *lines, Text("")] if lines else []
        if changes:
            lines += [*(Text(escape_line(change)) for change in changes), Text("")]
        good = job.report is not None and job.report.success
        lines.append(Text(summary(job, seconds), "bold green" if good else "bold red"))
        if self._formatter.metrics:
            lines.append(Text(self._formatter.metrics, "dim"))
        if more:
            lines.append(Text(f"{more} shows more", "dim"))
        # What was laid out already fits.
        return self.release() + _printed(
            console, (part for line in lines for part in line.wrap(console, console.width))
        )

    def _shown(self, event: StoredEvent) -> str:
        row = self._formatter.row(event)
        console = self._console()
        narrow = console.width < NARROW
        style = STYLES.get(row.kind, "")
        elapsed = event.at - (event.at if self._start is None else self._start)
        who = one_line(row.who, max(1, console.width - INDENT // 2)) if narrow else f"{row.who:{NAME_WIDTH}}"
        head = Text.assemble(
            (f"{elapsed:.1f}s " if narrow else f"{elapsed:7.1f}s ", "dim"),
            (f"{MARKS.get(row.kind, '·')} {who} ", style),
        )
        bar = "│ " if narrow else f"{'│ ':>{INDENT}}"
        width = max(1, console.width - len(bar))
        texts = [
            line
            for text in self._texts(event, row, console, width)
            for line in (text.wrap(console, width) if text.plain else [text])
        ]
        return _printed(console, _hanging(head, bar, texts, console.width))

    def _texts(self, event: StoredEvent, row: Row, console: Console, width: int) -> list[Text]:
        """The paragraphs of an event. The first is short, or fits beside the name."""
        if row.kind == "message":
            return markdown_lines(_text_of(event), console, width)
        if row.kind == "call":
            return [Text(one_line(call_text(event.data), CALL_WIDTH))]
        if row.kind in {"done", "failed"}:
            return [Text(row.text, STYLES[row.kind])]
        exit_code = [(f"exit {row.exit_code}  ", STYLES["warning"])] if row.exit_code else []
        took = [] if row.seconds is None else [(f"{row.seconds:.2f} s  ", "dim")]
        first = Text.assemble(*exit_code, *took, row.text)
        # The diff shows what the lines of the output show.
        body = [] if row.diff else [Text(line, "dim") for line in row.body]
        return [first, *body, *(Text(line, DIFF_STYLES.get(line[:1], "dim")) for line in row.diff)]

    def _console(self) -> Console:
        return Console(file=io.StringIO(), force_terminal=True, width=self._columns(), highlight=False)


def _hanging(head: Text, bar: str, texts: list[Text], width: int) -> list[Text]:
    """The head with the first line beside it, if that fits, and the others after a bar."""
    if texts and head.cell_len + texts[0].cell_len <= width:
        head, texts = head + texts[0], texts[1:]
    return [head, *(Text.assemble((bar, "dim"), text) for text in texts)]


def _text_of(event: StoredEvent) -> str:
    content = event.data.get("content")
    return content if isinstance(content, str) else ""


def _printed(console: Console, lines: Iterable[Text]) -> str:
    with console.capture() as capture:
        for line in lines:
            line.rstrip()
            console.print(line, soft_wrap=True)
    return capture.get()
