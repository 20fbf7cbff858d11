"""Overhead: the time from an LLM reply's last byte to the next LLM request's first, and the CPU that a turn takes.

Hiding: the same while every request but the LLM's takes longer. What a worker does beside its turns costs no turn.
"""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
from benchmarks.baseline import PAUSE
from benchmarks.figures import BASELINE, OURS, Figure, UnmeasuredError
from benchmarks.plan import Plan, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.bench import Bench
    from benchmarks.plan import Exchange
    from benchmarks.workers import Contender

MS = 1e6
"""Nanoseconds."""
MOST_GAP = 3.0
MOST_GAP_RATIO = 1 / 30
"""Milliseconds between reply and next request, and their ratio to the baseline's, at the most."""
PROMISED_DELAY = 100
MOST_FACTOR = 1.5
"""With so many milliseconds on every other request, the time is at most so many times what it is with none."""

PAUSES = {OURS: 0.0, BASELINE: PAUSE * 1000}
"""Milliseconds that a worker sleeps on purpose between two turns; the model here takes longer than our pace."""


class Turns(msgspec.Struct, frozen=True):
    """Of one job: the median time between reply and request, and the CPU time of a turn; both in ms."""

    gap: float
    cpu: float | None


def overhead(bench: Bench) -> Iterator[Figure]:
    """With nothing added."""
    gap = Figure(
        measure="overhead",
        name="reply to next request",
        unit="ms",
        pauses=True,
        target=MOST_GAP_RATIO,
        target_value=MOST_GAP,
    )
    work = Figure(measure="overhead", name="reply to next request, the pause set apart", unit="ms")
    cpu = Figure(measure="overhead", name="CPU a turn", unit="ms")

    def once(contender: Contender, number: int) -> None:
        turns = _kept_turns(bench, contender, number, delay_ms=0)
        gap.add(contender.name, turns.gap)
        if contender.name in PAUSES:
            work.add(contender.name, turns.gap - PAUSES[contender.name])
        else:
            work.give_up(contender.name, "whether it pauses is not known")
        if turns.cpu is None:
            cpu.give_up(contender.name, "its process could not be looked at")
        else:
            cpu.add(contender.name, turns.cpu)

    bench.in_turns([gap, work, cpu], once)
    yield from (gap, work, cpu)


def hiding(bench: Bench) -> Iterator[Figure]:
    """With each of the scale's delays added to every request but the LLM's, and held against none."""
    delays = bench.scale.delays_ms
    gaps = [
        Figure(measure="hiding", name=f"reply to next request, {delay} ms added", unit="ms", pauses=True)
        for delay in delays
    ]
    factors = [
        Figure(measure="hiding", name=f"{delay} ms added over none", unit="x", against="") for delay in delays[1:]
    ]
    if delays[-1] >= PROMISED_DELAY:
        factors[-1].target = MOST_FACTOR

    def once(contender: Contender, number: int) -> None:
        taken = [_kept_turns(bench, contender, number, delay_ms=delay).gap for delay in delays]
        for figure, value in zip(gaps, taken, strict=True):
            figure.add(contender.name, value)
        for figure, value in zip(factors, taken[1:], strict=True):
            figure.add(contender.name, value / taken[0])

    bench.in_turns([*gaps, *factors], once)
    yield from (*gaps, *factors)


def gaps_ms(exchanges: Sequence[Exchange]) -> list[float]:
    """Milliseconds between each LLM reply and the next LLM request."""
    return [(after.began - before.replied) / MS for before, after in pairwise(exchanges)]


def cpu_ms(exchanges: Sequence[Exchange]) -> float | None:
    """CPU milliseconds of a turn, on the average from the first of these LLM requests to the last."""
    first, last = exchanges[0].cpu, exchanges[-1].cpu
    if first is None or last is None:
        return None
    return (last - first) / MS / (len(exchanges) - 1)


def _kept_turns(bench: Bench, contender: Contender, number: int, *, delay_ms: int) -> Turns:
    key = (contender.name, number, delay_ms)
    if key not in bench.turns:
        bench.turns[key] = _turns(bench, contender, delay_ms=delay_ms)
    return bench.turns[key]


def _turns(bench: Bench, contender: Contender, *, delay_ms: int) -> Turns:
    count = bench.scale.iterations
    plan = Plan(turns=(Turn(),) * count, model_seconds=bench.scale.model_seconds, other_seconds=delay_ms / 1000)
    # The last reply is a text, after which a worker may well ask a second time.
    asked = bench.run(contender, plan).log.of("llm/")[: count + 1]
    if len(asked) <= count:
        raise UnmeasuredError(f"it made {len(asked)} LLM requests where {count + 1} were due")
    return Turns(statistics.median(gaps_ms(asked)), cpu_ms(asked))
