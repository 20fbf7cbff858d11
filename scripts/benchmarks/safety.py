"""Safety: the CPU time of redaction and injection markers per megabyte, for ordinary texts and the worst known ones."""

from __future__ import annotations

from time import process_time
from typing import TYPE_CHECKING

from benchmarks.baseline import redacted
from benchmarks.figures import BASELINE, OURS, Figure
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
LINEARITY_TARGET = 1.5
"""Upper limit of the time of 1 MB over that of its quarter four times: 1 is linear, 4 quadratic."""


def safety(bench: Bench) -> Iterator[Figure]:
    """Our layer and the baseline's patterns, alternating in this process."""
    subjects: dict[str, Redact] = {OURS: SafetyLayer(Redactor()).tool_output, BASELINE: redacted}
    ordinary, worst = ordinary_texts(MEGABYTE), worst_texts(MEGABYTE)
    # Compiles the patterns.
    for redact in subjects.values():
        for text in (*ordinary.values(), *worst):
            redact(text[:KILOBYTE])
    for name, text in ordinary.items():
        small = [text[at : at + KILOBYTE] for at in range(0, len(text), KILOBYTE)]
        for described, pieces in ((f"{name}, 1 KB pieces", small), (f"{name}, 1 MB pieces", [text])):
            figure = _figure(described)
            for _ in range(bench.scale.long_runs):
                for subject, redact in subjects.items():
                    figure.add(subject, _ms(redact, pieces))
            yield figure
    slowest = _figure("the worst input, 1 MB pieces")
    linearity_name = "linearity: 1 MB over its quarter four times"
    linearity = Figure(measure="safety", name=linearity_name, unit="x", against="", target=LINEARITY_TARGET)
    for _ in range(bench.scale.long_runs):
        for subject, redact in subjects.items():
            measured = sorted(_time_and_linearity(redact, text) for text in worst)
            slowest.add(subject, measured[-1][0])
            # The faster half is too fast to compare.
            linearity.add(subject, max(ratio for _, ratio in measured[len(measured) // 2 :]))
    yield from (slowest, linearity)


def _figure(name: str) -> Figure:
    full_name = f"redaction and markers, {name}"
    return Figure(measure="safety", name=full_name, unit="ms/MB", target_value=TARGETS_MS.get(name))


def _time_and_linearity(redact: Redact, text: str) -> tuple[float, float]:
    whole = _ms(redact, [text])
    return whole, whole / _ms(redact, [text[: len(text) // 4]] * 4)


def _ms(redact: Redact, pieces: list[str]) -> float:
    """CPU milliseconds per megabyte."""
    began = process_time()
    for piece in pieces:
        redact(piece)
    return (process_time() - began) * 1000 * MEGABYTE / sum(map(len, pieces))
