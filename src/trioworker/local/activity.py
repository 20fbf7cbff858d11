"""What a job waits for, and for how long, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.local.call_text import call_text, tool_name
from trioworker.observability.terminal_text import columns_of, duration, one_line

if TYPE_CHECKING:
    from trioworker.orchestrator.views import JobView, StoredEvent

CALL_WIDTH = 40
"""Columns of a call's arguments that are shown."""
REASON_WIDTH = 80
"""Columns of a status that are shown."""
NARROW = 60
"""Columns below which words that explain are left out."""
MIN_WIDTH = 10
"""Columns of what is waited for that are shown in the narrowest terminal."""
SEPARATOR = " · "


class Activity:
    """Follows a job's events. Times are Unix seconds, like those of the events.

    Attributes:
        stopping: whether the job is being stopped; the code that stops it sets this.
        queued: follow-ups that were sent and that the worker hasn't read.
    """

    def __init__(self, now: float) -> None:
        self.stopping = False
        self.queued = 0
        self._waiting_for = "waiting for the worker to start"
        self._since = now
        self._calls: dict[str, tuple[str, float]] = {}
        self._iteration = 0
        self._tokens = 0

    def show(self, event: StoredEvent) -> None:
        """Take an event into account."""
        data = event.data
        self._tokens = max(self._tokens, event.usage.input_tokens + event.usage.output_tokens)
        self._waiting_for, self._since = "waiting for the model", event.at
        call_id = str(data.get("tool_call_id"))
        match event.event_type:
            case "tool_use":
                self._calls[call_id] = (_call(data), event.at)
            case "tool_result":
                self._calls.pop(call_id, None)
            case "message" if data.get("role") == "user":
                self.queued = max(0, self.queued - 1)
            case "result":
                self._calls.clear()
                self._waiting_for = "waiting for the worker to end"
            case "status" if "retrying" in str(data.get("message")):
                self._waiting_for = f"retrying: {one_line(_reason(data), REASON_WIDTH)}"
            case _:
                pass

    def update(self, job: JobView) -> None:
        """Take the state of the job into account."""
        self._iteration = max(self._iteration, job.iteration)
        self._tokens = max(self._tokens, job.usage.input_tokens + job.usage.output_tokens)

    def line(self, now: float, width: int) -> str:
        """What the job waits for, the queued follow-ups, the iteration and the tokens, in about `width` columns."""
        parts: list[str] = []
        if self._iteration:
            parts.append(f"iteration {self._iteration}")
        if self._tokens:
            parts.append(f"{_rounded(self._tokens)} tokens")
        queued = self._queued(width)
        first = [*self._waits(now, width - columns_of(SEPARATOR.join(["", *queued]))), *queued]
        while parts and columns_of(SEPARATOR.join([*first, *parts])) > width:
            parts.pop()
        return SEPARATOR.join([*first, *parts])

    def _queued(self, width: int) -> list[str]:
        if not self.queued:
            return []
        what = "" if width < NARROW else f"follow-up{'' if self.queued == 1 else 's'} "
        return [f"{self.queued} {what}queued"]

    def _waits(self, now: float, width: int) -> list[str]:
        if self.stopping:
            return ["stopping…"]
        if not self._calls:
            return [_with_duration(self._waiting_for, now - self._since, width)]
        call, since = next(iter(self._calls.values()))
        running = [f"{len(self._calls)} calls running"] if len(self._calls) > 1 else []
        room = width - len(SEPARATOR.join(["", *running]))
        return [_with_duration(call, now - since, room), *running]


def _with_duration(text: str, seconds: float, width: int) -> str:
    """The text, shortened so that the duration after it stays visible."""
    passed = duration(max(0, int(seconds)))
    return f"{one_line(text, max(MIN_WIDTH, width - len(passed) - 1))} {passed}"


def _reason(data: dict[str, object]) -> str:
    return str(data["message"]).removeprefix("the model does not answer: ").partition("; retrying")[0]


def _call(data: dict[str, object]) -> str:
    arguments = one_line(call_text(data), CALL_WIDTH)
    return f"{tool_name(data)}: {arguments}" if arguments else tool_name(data)


def _rounded(number: int) -> str:
    return f"{number}" if number < 10_000 else f"{number / 1000:.0f}k"
