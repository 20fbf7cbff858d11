"""Figures: what was measured, run by run; medians, ratios to a reference, and the comparison with recorded ratios."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

OURS = "trioworker"
BASELINE = "baseline"
IMPORTS = "imports"
"""Names of what is measured; `imports` is a process that only imports the libraries."""
TOLERANCE = 2.0
"""A ratio this many times the recorded one is a regression: more than a busy machine does to a median."""
HEADING = f"  {'':<15}{'median':>12}{'min':>12}{'max':>12}{'ratio':>20}"

Ratios = dict[str, float]
"""Recorded ratios by the figure's key."""


class UnmeasuredError(Exception):
    """A figure could not be measured; the message says why."""


class RecordedRatiosError(Exception):
    """The file of recorded ratios can't be used; the message says why."""


@dataclass(kw_only=True, eq=False)
class Figure:
    """One quantity; less is better.

    Attributes:
        against: the subject whose median the ratios divide by; empty for a figure that is a ratio itself.
        sleeps: the reference mostly sleeps, for the same time on any machine, so the ratio depends on the machine
            and is not recorded or compared.
        target: the upper limit of our ratio.
        target_value: the upper limit of our median.
        runs: values by subject, in the order measured.
        missing: why a subject has no values.
    """

    measure: str
    name: str
    unit: str
    against: str = BASELINE
    sleeps: bool = False
    target: float | None = None
    target_value: float | None = None
    runs: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    missing: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def key(self) -> str:
        """The figure's name in files."""
        return f"{self.measure}: {self.name}"

    def add(self, subject: str, *values: float) -> None:
        """Add values of another run."""
        self.runs.setdefault(subject, []).extend(values)

    def give_up(self, subject: str, reason: str) -> None:
        """Discard the subject's values: the figure can't be measured for it."""
        self.runs.pop(subject, None)
        self.missing[subject] = reason

    def median(self, subject: str) -> float | None:
        """The median of the subject's runs."""
        values = self.runs.get(subject)
        return statistics.median(values) if values else None

    def ratio(self, subject: str) -> float | None:
        """The median divided by the reference's; the median itself if the figure is a ratio."""
        own = self.median(subject)
        if not self.against:
            return own
        reference = self.median(self.against)
        return own / reference if own is not None and reference else None

    def target_met(self, subject: str) -> bool | None:
        """Whether our targets are met; None for other subjects and for figures without a target."""
        checks = ((self.ratio(subject), self.target), (self.median(subject), self.target_value))
        targets = [(value, limit) for value, limit in checks if limit is not None]
        if subject != OURS or not targets:
            return None
        return all(value is not None and value <= limit for value, limit in targets)

    def as_json(self) -> dict[str, Any]:
        """The figure for the JSON file."""
        subjects: dict[str, dict[str, Any]] = {name: {"missing": reason} for name, reason in self.missing.items()}
        for name, values in self.runs.items():
            summary = {"median": self.median(name), "min": min(values), "max": max(values), "ratio": self.ratio(name)}
            subjects[name] = {**summary, "target_met": self.target_met(name), "runs": values}
        targets = {"target_ratio": self.target, "target_value": self.target_value}
        described = {"measure": self.measure, "name": self.name, "unit": self.unit, "against": self.against or None}
        return {**described, **targets, "subjects": subjects}

    def lines(self) -> Iterator[str]:
        """The figure's block in the printed table."""
        limits = ((self.target_value, f" {self.unit}"), (self.target, f" of {self.against}" if self.against else ""))
        targets = " and ".join(f"{_number(limit)}{unit}" for limit, unit in limits if limit is not None)
        yield f"{self.key} [{self.unit}]" + (f", target: at most {targets}" if targets else "")
        for subject, values in self.runs.items():
            numbers = (statistics.median(values), min(values), max(values))
            row = f"  {subject:<15}" + "".join(f"{_number(value):>12}" for value in numbers)
            ratio = self.ratio(subject) if self.against and subject != self.against else None
            text = f"{ratio:.3f} of {self.against}" if ratio is not None else ""
            met = {None: "", True: "met", False: "missed"}[self.target_met(subject)]
            yield f"{row}{text:>20}  {met}".rstrip()
        for subject, reason in self.missing.items():
            yield f"  {subject:<15}not measured: {reason}"


def recorded_ratios(path: Path, scale: str) -> Ratios:
    """The ratios recorded for this scale.

    Raises:
        RecordedRatiosError: the file is missing, invalid, or holds no ratios of this scale.
    """
    recorded = _read(path).get(scale)
    if not recorded:
        remedy = f"record them with: scripts/bench --{scale} --record FILE"
        raise RecordedRatiosError(f"{path} holds no ratios of the scale {scale}; {remedy}")
    return recorded


def regressions(recorded: Ratios, figures: Iterable[Figure]) -> dict[str, str]:
    """A line for each figure whose ratio is over twice the recorded one, or that could not be measured; by its key."""
    found: dict[str, str] = {}
    for figure in figures:
        before = recorded.get(figure.key)
        if before is None or figure.sleeps:
            continue
        now = figure.ratio(OURS)
        if now is None:
            reason = figure.missing.get(OURS, "no reference")
            found[figure.key] = f"{figure.key}: recorded {before:.3f}, not measured: {reason}"
        elif now > before * TOLERANCE:
            found[figure.key] = f"{figure.key}: ratio {now:.3f}, recorded {before:.3f}"
    return found


def record(path: Path, scale: str, figures: Iterable[Figure]) -> None:
    """Write our ratios to the file; ratios of other figures and scales stay.

    Raises:
        RecordedRatiosError: the file is invalid or can't be written.
    """
    recorded = _read(path) if path.exists() else {}
    ratios = {figure.key: figure.ratio(OURS) for figure in figures if not figure.sleeps}
    measured = {key: round(ratio, 4) for key, ratio in ratios.items() if ratio is not None}
    recorded[scale] = {**recorded.get(scale, {}), **measured}
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(recorded, order="sorted"), indent=2) + b"\n")
    except OSError as error:
        raise RecordedRatiosError(f"{path}: {error.strerror}") from error


def _read(path: Path) -> dict[str, Ratios]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Ratios])
    except OSError as error:
        raise RecordedRatiosError(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise RecordedRatiosError(f"{path} holds no recorded ratios: {error}") from error


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
