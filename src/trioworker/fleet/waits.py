"""Which jobs wait for the cluster, and why: for the live line, the table, and lines that don't flood a log."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import trio

from trioworker.observability.terminal_text import first_line, fit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from trioworker.fleet.jobs import FleetJob

REPEAT_INTERVAL = 30.0
"""Seconds between two lines about the same reason."""
MAX_REASON = 300
"""Characters of a reason in a line."""
_NUMBER = re.compile(r'("[^"]*")|\d[\w.]*')


class Waits:
    """Reasons that differ only in numbers, such as `0/2 nodes` and `0/3 nodes`, are the same one.

    A line names the job, or counts the jobs with the same reason. Another one follows when their number has doubled.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, str]] = {}
        self._announced: dict[str, tuple[int, float]] = {}

    @property
    def reasons(self) -> Mapping[str, str]:
        """The reasons by the ids of the jobs."""
        return {job_id: reason for job_id, (_, reason) in self._waiting.items()}

    def set(self, job: FleetJob, reason: str | None) -> None:
        """The job waits for this reason, or with None, for nothing any longer."""
        if reason is None:
            self._waiting.pop(job.job_id, None)
        else:
            self._waiting[job.job_id] = (first_line(job.name), fit(first_line(reason), MAX_REASON))

    def news(self) -> list[str]:
        """Return the lines that have become due since the last call."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name, reason in self._waiting.values():
            groups.setdefault(_key(reason), []).append((name, reason))
        self._announced = {key: (count if key in groups else 0, at) for key, (count, at) in self._announced.items()}
        now = trio.current_time()
        lines: list[str] = []
        for key, group in groups.items():
            count, at = self._announced.get(key, (0, -REPEAT_INTERVAL))
            if len(group) >= max(1, 2 * count) and now >= at + REPEAT_INTERVAL:
                self._announced[key] = (len(group), now)
                name, reason = group[-1]
                who = f"{fit(name, 80)} is" if len(group) == 1 else f"{len(group)} jobs are"
                lines.append(f"{who} waiting: {reason}")
        return lines

    def summary(self, job_ids: Collection[str]) -> str | None:
        """Say how many of these jobs wait, and the most frequent reason: `37 waiting: 0/2 nodes are available`."""
        reasons = [reason for job_id, (_, reason) in self._waiting.items() if job_id in job_ids]
        if not reasons:
            return None
        ((most_frequent, _),) = Counter(reasons).most_common(1)
        return f"{len(reasons)} waiting: {fit(most_frequent, 60)}"


def _key(reason: str) -> str:
    """Replace the numbers of a reason. What is in quotes, such as the name of an image, stays."""
    return _NUMBER.sub(lambda match: match[1] or "#", reason)
