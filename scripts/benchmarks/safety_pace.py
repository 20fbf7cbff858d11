"""How fast texts are redacted and marked, in a process of its own: `python -m benchmarks.safety_pace RUNS SIZE`.

Prints, run by run and text by text, the CPU milliseconds that a megabyte takes, ours and the baseline's.
"""

from __future__ import annotations

import sys
from functools import partial
from time import process_time
from typing import TYPE_CHECKING

import msgspec
from benchmarks.baseline import redacted
from benchmarks.figures import BASELINE, OURS
from benchmarks.texts import ordinary_texts, worst_texts

from trioworker.worker.redaction.safety_layer import SafetyLayer
from trioworker.worker.redaction.secrets import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

    Way = Callable[[str], object]

MEGABYTE = 1_000_000
KILOBYTE = 1_000
QUARTERS = 4

Times = dict[str, dict[str, float]]
"""Milliseconds for a megabyte (or a factor) by text and by who took them."""


def main(runs: int, size: int) -> list[Times]:
    """The times of each run; the patterns are compiled before."""
    layer = SafetyLayer(Redactor())
    ways: dict[str, Way] = {OURS: partial(layer.tool_output, "shell"), BASELINE: redacted}
    ordinary, worst = ordinary_texts(size), worst_texts(size)
    for way in ways.values():
        for text in (*ordinary.values(), *worst):
            way(text[:KILOBYTE])
    return [{**_ordinary_times(ways, ordinary), **_worst_times(ways, worst)} for _ in range(runs)]


def _ordinary_times(ways: dict[str, Way], texts: dict[str, str]) -> Times:
    times: Times = {}
    for name, text in texts.items():
        small = [text[at : at + KILOBYTE] for at in range(0, len(text), KILOBYTE)]
        times[f"{name}, 1 KB pieces"] = {who: _ms(way, small) for who, way in ways.items()}
        times[f"{name}, 1 MB pieces"] = {who: _ms(way, [text]) for who, way in ways.items()}
    return times


def _worst_times(ways: dict[str, Way], texts: tuple[str, ...]) -> Times:
    """The time of the text that takes longest, and how time grows with length where it is long enough to tell."""
    slowest: dict[str, float] = {}
    growth: dict[str, float] = {}
    for who, way in ways.items():
        taken: list[tuple[float, float]] = []
        for text in texts:
            whole = _ms(way, [text])
            taken.append((whole, whole / _ms(way, [text[: len(text) // QUARTERS]] * QUARTERS)))
        taken.sort()
        slowest[who] = taken[-1][0]
        growth[who] = max(factor for _, factor in taken[len(taken) // 2 :])
    return {"the worst input, 1 MB pieces": slowest, "linearity: 1 MB over its quarter four times": growth}


def _ms(way: Way, pieces: list[str]) -> float:
    """CPU milliseconds for a megabyte: nothing here waits, and what else the machine does is none of it."""
    began = process_time()
    for piece in pieces:
        way(piece)
    return (process_time() - began) * 1000 * MEGABYTE / sum(map(len, pieces))


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(main(int(sys.argv[1]), int(sys.argv[2]))).decode())
