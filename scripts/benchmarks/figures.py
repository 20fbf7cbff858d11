"""A figure: what was measured, of whom, run by run; its median, its spread, and its ratio to a reference."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

OURS = "trioworker"
BASELINE = "baseline"
IMPORTS = "imports"
"""Who is measured; `imports` is the bare import line, which is no worker."""


class UnmeasuredError(Exception):
    """A figure could not be taken; the message says why."""


@dataclass(kw_only=True, eq=False)
class Figure:
    """A quantity of one measure.

    Attributes:
        against: whose median the ratios divide by; empty for a figure that is a ratio in itself.
        pauses: the reference is mostly pauses on purpose, which are as long on any machine, and ours is work, which is
            not: the ratio holds for this machine alone, so it is neither recorded nor compared.
        more_is_better: as for rates; times and memory are better when they are less.
        target: the most that our ratio may be (the least, if more is better), where something was promised.
        target_value: the same for the median itself.
        runs: values by who was measured, in the order taken.
        missing: why there are none.
    """

    measure: str
    name: str
    unit: str
    against: str = BASELINE
    pauses: bool = False
    more_is_better: bool = False
    target: float | None = None
    target_value: float | None = None
    runs: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    missing: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def key(self) -> str:
        """Names the figure in files."""
        return f"{self.measure}: {self.name}"

    @property
    def subjects(self) -> list[str]:
        """Who was measured, or was to be."""
        return list(dict.fromkeys([*self.runs, *self.missing]))

    def add(self, subject: str, *values: float) -> None:
        """Take values of another run."""
        self.runs.setdefault(subject, []).extend(values)

    def give_up(self, subject: str, reason: str) -> None:
        """There is no value of this one, or no more, and so none at all."""
        self.runs.pop(subject, None)
        self.missing[subject] = reason

    def median(self, subject: str) -> float | None:
        """The median of the runs."""
        values = self.runs.get(subject)
        return statistics.median(values) if values else None

    def ratio(self, subject: str) -> float | None:
        """The median divided by the reference's; the median itself where the figure is a ratio."""
        own = self.median(subject)
        if not self.against:
            return own
        reference = self.median(self.against)
        return own / reference if own is not None and reference else None

    def interpretation(self, subject: str) -> str:
        """Whether what was promised of us holds: `held`, `missed`, or nothing."""
        checks = [(self.ratio(subject), self.target), (self.median(subject), self.target_value)]
        promised = [(value, limit) for value, limit in checks if limit is not None]
        if subject != OURS or not promised:
            return ""
        return (
            "held" if all(value is not None and self._within(value, limit) for value, limit in promised) else "missed"
        )

    def _within(self, value: float, limit: float) -> bool:
        return value >= limit if self.more_is_better else value <= limit

    def as_json(self) -> dict[str, Any]:
        """The figure for machines."""
        return {
            "measure": self.measure,
            "name": self.name,
            "unit": self.unit,
            "against": self.against or None,
            "more_is_better": self.more_is_better,
            "target_ratio": self.target,
            "target_value": self.target_value,
            "subjects": {subject: self._summary(subject) for subject in self.subjects},
        }

    def _summary(self, subject: str) -> dict[str, Any]:
        if subject in self.missing:
            return {"missing": self.missing[subject]}
        values = self.runs[subject]
        return {
            "median": self.median(subject),
            "min": min(values),
            "max": max(values),
            "ratio": self.ratio(subject),
            "verdict": self.interpretation(subject) or None,
            "runs": values,
        }
