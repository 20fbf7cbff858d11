"""Tracks which jobs wait for the cluster and why, for the live line, the table, and a bounded number of log lines."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import trio

from trioworker.observability.terminal_text import first_line, fit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from trioworker.fleet.jobs import FleetJob

REPEAT_INTERVAL = 30.0
"""Seconds between two lines about the same reason."""
MAX_REASON = 300
"""Maximum characters of a reason in a line."""
_NAME = re.compile(r"trioworker-[0-9a-f]{8}-[\w-]+")
"""The names of our objects, which contain the id of their job."""
_NUMBER = re.compile(r'("[^"]*")|\d[\w.]*')
"""Numbers, and what is in quotes, such as the name of an image, which is kept."""


class _Announced:
    """The lines about a reason: the jobs they covered, and the count and time of the last one."""

    def __init__(self) -> None:
        self.jobs: set[str] = set()
        self.count = 0
        self.at = -REPEAT_INTERVAL


class Waits:
    """Reasons that differ only in numbers or in names of our objects count as the same: `0/2 nodes` and `0/3 nodes`.

    A line names the job, or counts the jobs with the same reason. Another line follows when their number has doubled.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, str]] = {}
        self._announced: dict[str, _Announced] = {}

    @property
    def reasons(self) -> Mapping[str, str]:
        """The reasons, by the jobs' ids."""
        return {job_id: reason for job_id, (_, reason) in self._waiting.items()}

    def set(self, job: FleetJob, reason: str | None) -> None:
        """Record why the job waits; None: it no longer waits."""
        if reason is None:
            self._waiting.pop(job.job_id, None)
        else:
            self._waiting[job.job_id] = (first_line(job.name), fit(first_line(reason), MAX_REASON))

    def news(self) -> list[str]:
        """Return the lines that have become due since the last call."""
        groups: dict[str, list[str]] = {}
        for job_id, (_, reason) in self._waiting.items():
            groups.setdefault(kind_of(reason), []).append(job_id)
        for key in self._announced.keys() - groups:
            self._announced[key].count = 0
        return [self._line(group) for key, group in groups.items() if self._is_due(key, group)]

    def _is_due(self, key: str, group: Sequence[str]) -> bool:
        announced = self._announced.setdefault(key, _Announced())
        now = trio.current_time()
        if announced.jobs.issuperset(group) or len(group) < 2 * announced.count:
            return False
        if now < announced.at + REPEAT_INTERVAL:
            return False
        announced.jobs.update(group)
        announced.count, announced.at = len(group), now
        return True

    def _line(self, group: Sequence[str]) -> str:
        name, reason = self._waiting[group[-1]]
        who = f"{fit(name, 80)} is" if len(group) == 1 else f"{len(group)} jobs are"
        return f"{who} waiting: {reason}"

    def summary(self, job_ids: Collection[str]) -> str | None:
        """Return how many of these jobs wait, and the most frequent reason: `37 waiting: 0/2 nodes are available`."""
        reasons = [reason for job_id, (_, reason) in self._waiting.items() if job_id in job_ids]
        if not reasons:
            return None
        ((most_frequent, count),) = Counter(reasons).most_common(1)
        is_shared = len({kind_of(reason) for reason in reasons}) == 1
        text = f"{len(reasons)} waiting" if is_shared else f"{len(reasons)} waiting, {count} of them"
        return f"{text}: {fit(most_frequent, 60)}"


def kind_of(reason: str) -> str:
    """The reason without the parts that differ between jobs."""
    return _NUMBER.sub(lambda match: match[1] or "#", _NAME.sub("#", reason))
