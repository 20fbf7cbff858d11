"""What a fleet has done, what is running, and how long the rest will probably take."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import trio

from trioworker.fleet.waits import Waits
from trioworker.observability.terminal_text import duration, first_line, fit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.results import Result
    from trioworker.fleet.stopping import Stop

MIN_COLUMNS = len(" 1 s, ")
"""Cells of a job in the live line, at least."""
ETA_STEPS = ((90.0, 10.0, "s"), (5400.0, 60.0, "min"), (float("inf"), 3600.0, "h"))
"""Up to how many seconds a rest is shown in which unit, and rounded up to how many seconds."""


class _Running(NamedTuple):
    name: str
    since: float


class Progress:
    """Counts jobs. Times are those of trio's clock."""

    def __init__(self, jobs: Sequence[FleetJob], earlier: Iterable[Result], parallel: int, stop: Stop) -> None:
        """`earlier` are the results of earlier runs, `parallel` is the maximum number of concurrent workers."""
        self._stop = stop
        self.total = len(jobs)
        self._seconds = [result.seconds for result in earlier]
        self._parallel = parallel
        self._running: dict[str, _Running] = {}
        self.not_started: dict[str, str] = {}
        """The reasons why jobs could not be started, by id."""
        self.waits = Waits()

    @property
    def running(self) -> int:
        """How many jobs run."""
        return len(self._running)

    @property
    def ended(self) -> int:
        """How many jobs need no further worker."""
        return len(self._seconds) + len(self.not_started)

    def start(self, job: FleetJob) -> None:
        """A slot is free for the job."""
        self._running[job.job_id] = _Running(first_line(job.name), trio.current_time())

    def end(self, job: FleetJob, result: Result | None = None, reason: str | None = None) -> None:
        """The job has a result, or could not be started for a reason; with neither, a rerun continues it."""
        del self._running[job.job_id]
        if result is not None or reason is not None:
            self.waits.set(job, None)
        if result is not None:
            self._seconds.append(result.seconds)
        elif reason is not None:
            self.not_started[job.job_id] = reason

    def seconds_left(self) -> float | None:
        """The estimated time until the fleet ends, from the mean of the jobs that ended. None until one has."""
        if not self._seconds:
            return None
        mean = sum(self._seconds) / len(self._seconds)
        now = trio.current_time()
        running = [max(0.0, mean - (now - each.since)) for each in self._running.values()]
        waiting = 0 if self._stop.draining.is_set() else self.total - self.ended - len(running)
        lanes = min(self._parallel, waiting + len(running))
        if not lanes:
            return 0.0
        return max(max(running, default=0.0), (mean * waiting + sum(running)) / lanes)

    def line(self, width: int) -> str:
        """The state in one line of at most `width` cells: `3/20 · about 2 min left · Fix it 12 s, Add it 3 s`."""
        parts = [f"{self.ended}/{self.total}"]
        if (rest := self.rest()) is not None:
            parts.append(rest)
        if (waiting := self.waits.summary(self._running)) is not None:
            parts.append(waiting)
        now = trio.current_time()
        reasons = self.waits.reasons
        # In the order of their starts, and no more than fit: of hundreds, most don't.
        started = (each for job_id, each in self._running.items() if job_id not in reasons)
        oldest = islice(started, width // MIN_COLUMNS + 1)
        parts.append(", ".join(f"{fit(each.name, 40)} {duration(int(now - each.since))}" for each in oldest))
        return fit(" · ".join(filter(None, parts)), width)

    def rest(self) -> str | None:
        """The estimated time left, for people, or None if nothing is known or left."""
        seconds = self.seconds_left()
        if not seconds:
            return None
        limit, step, unit = next(each for each in ETA_STEPS if seconds < each[0])
        size = 1.0 if limit == ETA_STEPS[0][0] else step
        return f"about {int(-(-seconds // step) * step / size)} {unit} left"
