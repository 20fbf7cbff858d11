"""Figures: what was measured, run by run; medians, ratios to a reference, and the comparison with recorded ratios."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

OURS = "trioworker"
BASELINE = "baseline"
IMPORTS = "imports"
"""Names of what is measured; `imports` is a process that only imports the libraries."""
NS_PER_MS = 1e6
TOLERANCE = 2.0
"""The default: more than the variation of a median on a busy machine."""
HEADING = f"  {'':<15}{'median':>12}{'min':>12}{'max':>12}  ratio"


class BenchError(Exception):
    """A figure could not be measured, or the recorded ratios can't be used; the message says why."""


@dataclass(kw_only=True, eq=False)
class Figure:
    """One quantity; less is better.

    Attributes:
        tolerance: a ratio this many times the recorded one is a regression.
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
    tolerance: float = TOLERANCE
    runs: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    missing: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def key(self) -> str:
        """The figure's name in files."""
        return f"{self.measure}: {self.name}"

    def add(self, subject: str, value: float) -> None:
        """Add the value of another run."""
        self.runs.setdefault(subject, []).append(value)

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

    def lines(self) -> Iterator[str]:
        """The figure's block in the printed table."""
        targets: list[str] = []
        if self.target_value is not None:
            targets.append(f"{_number(self.target_value)} {self.unit}")
        if self.target is not None:
            targets.append(f"{_number(self.target)} of {self.against}" if self.against else _number(self.target))
        yield f"{self.key} [{self.unit}]" + (f", target: at most {' and '.join(targets)}" if targets else "")
        for subject, values in self.runs.items():
            numbers = (statistics.median(values), min(values), max(values))
            row = f"  {subject:<15}" + "".join(f"{_number(value):>12}" for value in numbers)
            ratio = self.ratio(subject)
            if self.against and subject != self.against and ratio is not None:
                row += f"  {ratio:.3f} of {self.against}"
            if targets and subject == OURS:
                row += "  met" if self._target_met() else "  missed"
            yield row
        for subject, reason in self.missing.items():
            yield f"  {subject:<15}not measured: {reason}"

    def _target_met(self) -> bool:
        checks = ((self.ratio(OURS), self.target), (self.median(OURS), self.target_value))
        return all(limit is None or (value is not None and value <= limit) for value, limit in checks)


def recorded_ratios(path: Path, scale: str) -> dict[str, float]:
    """The ratios recorded for this scale, by the figure's key.

    Raises:
        BenchError: the file is invalid, or holds no ratios of this scale.
    """
    recorded = _read(path).get(scale)
    if not recorded:
        raise BenchError(f"{path} holds no ratios of the scale {scale}; record them with: scripts/bench --record FILE")
    return recorded


def regressions(recorded: dict[str, float], figures: Iterable[Figure]) -> dict[str, str]:
    """A line for each figure whose ratio exceeds the recorded one too far, or that wasn't measured; by its key."""
    found: dict[str, str] = {}
    for figure in figures:
        before = recorded.get(figure.key)
        if before is None or figure.sleeps:
            continue
        now = figure.ratio(OURS)
        if now is None:
            reason = figure.missing.get(OURS, "no reference")
            found[figure.key] = f"{figure.key}: recorded {before:.3f}, not measured: {reason}"
        elif now > before * figure.tolerance:
            found[figure.key] = f"{figure.key}: ratio {now:.3f}, recorded {before:.3f}"
    return found


def record(path: Path, scale: str, figures: Iterable[Figure]) -> None:
    """Write our ratios to the file; ratios of other figures and scales stay."""
    recorded = _read(path) if path.exists() else {}
    ratios = {figure.key: figure.ratio(OURS) for figure in figures if not figure.sleeps}
    measured = {key: round(ratio, 4) for key, ratio in ratios.items() if ratio is not None}
    recorded[scale] = {**recorded.get(scale, {}), **measured}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(recorded, order="sorted"), indent=2) + b"\n")


def _read(path: Path) -> dict[str, dict[str, float]]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, float]])
    except msgspec.MsgspecError as error:
        raise BenchError(f"{path} holds no recorded ratios: {error}") from error


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
