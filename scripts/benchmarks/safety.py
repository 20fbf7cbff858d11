"""Safety: the CPU time of redaction and injection markers per megabyte, for ordinary texts and the worst known ones.

`python -m benchmarks.safety RUNS SIZE` measures in a process of its own, and prints the times of each run as JSON.
"""

from __future__ import annotations

import sys
from functools import partial
from time import process_time
from typing import TYPE_CHECKING

import msgspec
from benchmarks.baseline import redacted
from benchmarks.figures import BASELINE, OURS, Figure, UnmeasuredError
from benchmarks.harness import child_output
from benchmarks.texts import ordinary_texts, worst_texts

from trioworker.worker.redaction.safety_layer import SafetyLayer
from trioworker.worker.redaction.secrets import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.harness import Bench

    Redact = Callable[[str], object]

MEGABYTE, KILOBYTE = 1_000_000, 1_000
TARGETS_MS = {"source code, 1 MB pieces": 10.0, "the worst input, 1 MB pieces": 40.0}
"""Upper limits of the milliseconds per megabyte."""
LINEARITY = "linearity: 1 MB over its quarter four times"
LINEARITY_TARGET = 1.5
"""Upper limit of that ratio: 1 is linear, 4 quadratic."""

Times = dict[str, dict[str, float]]
"""Milliseconds per megabyte (or a ratio), by text and subject."""


def safety(bench: Bench) -> Iterator[Figure]:
    """Our layer and the baseline's patterns, alternating in one process."""
    arguments = (str(bench.scale.long_runs), str(bench.scale.text_bytes))
    try:
        output = child_output("-m", "benchmarks.safety", *arguments)
    except UnmeasuredError as error:
        failed = Figure(measure="safety", name="redaction and markers", unit="ms/MB")
        failed.give_up(OURS, str(error))
        yield failed
        return
    figures: dict[str, Figure] = {}
    for times in msgspec.json.decode(output, type=list[Times]):
        for text, by_subject in times.items():
            figure = figures.setdefault(text, _figure(text))
            for subject, value in by_subject.items():
                figure.add(subject, value)
    yield from figures.values()


def _figure(text: str) -> Figure:
    if text == LINEARITY:
        return Figure(measure="safety", name=text, unit="x", against="", target=LINEARITY_TARGET)
    name = f"redaction and markers, {text}"
    return Figure(measure="safety", name=name, unit="ms/MB", target_value=TARGETS_MS.get(text))


def main(runs: int, size: int) -> list[Times]:
    """The times of each run; the patterns are compiled before."""
    layer = SafetyLayer(Redactor())
    subjects: dict[str, Redact] = {OURS: partial(layer.tool_output, "shell"), BASELINE: redacted}
    ordinary, worst = ordinary_texts(size), worst_texts(size)
    for redact in subjects.values():
        for text in (*ordinary.values(), *worst):
            redact(text[:KILOBYTE])
    return [{**_ordinary_times(subjects, ordinary), **_worst_times(subjects, worst)} for _ in range(runs)]


def _ordinary_times(subjects: dict[str, Redact], texts: dict[str, str]) -> Times:
    times: Times = {}
    for name, text in texts.items():
        small = [text[at : at + KILOBYTE] for at in range(0, len(text), KILOBYTE)]
        times[f"{name}, 1 KB pieces"] = {subject: _ms(redact, small) for subject, redact in subjects.items()}
        times[f"{name}, 1 MB pieces"] = {subject: _ms(redact, [text]) for subject, redact in subjects.items()}
    return times


def _worst_times(subjects: dict[str, Redact], texts: tuple[str, ...]) -> Times:
    """The slowest text, and how time grows with length for the slower half of the texts."""
    slowest: dict[str, float] = {}
    linearity: dict[str, float] = {}
    for subject, redact in subjects.items():
        measured: list[tuple[float, float]] = []
        for text in texts:
            whole = _ms(redact, [text])
            measured.append((whole, whole / _ms(redact, [text[: len(text) // 4]] * 4)))
        measured.sort()
        slowest[subject] = measured[-1][0]
        linearity[subject] = max(ratio for _, ratio in measured[len(measured) // 2 :])
    return {"the worst input, 1 MB pieces": slowest, LINEARITY: linearity}


def _ms(redact: Redact, pieces: list[str]) -> float:
    """CPU milliseconds per megabyte."""
    began = process_time()
    for piece in pieces:
        redact(piece)
    return (process_time() - began) * 1000 * MEGABYTE / sum(map(len, pieces))


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(main(int(sys.argv[1]), int(sys.argv[2]))).decode())
