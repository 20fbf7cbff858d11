"""Safety: how long redaction and marking take for a megabyte, of ordinary texts and of the worst ones known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.children import child_json
from benchmarks.figures import OURS, Figure, UnmeasuredError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench

MOST_MS = {"source code, 1 MB pieces": 10.0, "the worst input, 1 MB pieces": 40.0}
"""Milliseconds for a megabyte that were promised."""
LINEAR = 1.5
"""The time of a megabyte over four times that of a quarter, at the most: 1 is linear, 4 quadratic."""


def safety(bench: Bench) -> Iterator[Figure]:
    """Our layer and the baseline's patterns, in turns, in one process."""
    figures: dict[str, Figure] = {}
    try:
        runs = child_json(
            "safety_pace",
            str(bench.scale.safety_runs),
            str(bench.scale.text_bytes),
            wanted=list[dict[str, dict[str, float]]],
        )
    except UnmeasuredError as error:
        failed = Figure(measure="safety", name="redaction and marking", unit="ms/MB")
        failed.give_up(OURS, str(error))
        yield failed
        return
    for run in runs:
        for text, times in run.items():
            figure = figures.setdefault(text, _figure(text))
            for subject, value in times.items():
                figure.add(subject, value)
    yield from figures.values()


def _figure(text: str) -> Figure:
    if text.startswith("linearity"):
        return Figure(measure="safety", name=text, unit="x", against="", target=LINEAR)
    return Figure(measure="safety", name=f"redaction and marking, {text}", unit="ms/MB", target_value=MOST_MS.get(text))
