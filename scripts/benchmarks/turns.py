"""Turns: the time from an LLM reply to the next LLM request, and the CPU time of a turn.

`overhead` measures a short conversation, `hiding` the same while every request except the LLM's takes longer: what a
worker does concurrently doesn't slow its turns. `growth` measures long conversations.
"""

from __future__ import annotations

import statistics
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from benchmarks.baseline import PAUSE
from benchmarks.figures import BASELINE, NS_PER_MS, OURS, BenchError, Figure
from benchmarks.orchestrator import Plan, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.harness import Bench
    from benchmarks.orchestrator import Exchange

TARGET_MS, TARGET_RATIO = 3.0, 1 / 30
"""Upper limits of the time between reply and request, and of its ratio to the baseline's."""
TARGET_DELAY_MS, TARGET_DELAY_FACTOR = 100, 1.5
"""With this delay of every other request, the upper limit of the time over that without delay."""
TARGET_SIZE, TARGET_GROWTH = 5_000, 2.0
"""At this many messages, the upper limit of a turn's CPU time over that at the smallest size."""
SLEEPS_MS = {OURS: 0.0, BASELINE: PAUSE * 1000}
"""How long a worker sleeps between two turns; the model here takes longer than our minimum iteration interval."""
CALLS_PER_TURN = 50
"""Calls of one reply that lengthen a conversation: fewer than any worker's limit."""
INITIAL_MESSAGES = 2
"""The system's and the job's."""
UNCOMPACTED = {"TRIOWORKER_CONTEXT_LIMIT": "100000000"}
"""A limit that no conversation here reaches: a compacted one would not be comparable."""


def overhead(bench: Bench) -> Iterator[Figure]:
    """Turns of a short conversation."""
    figure = partial(Figure, measure="overhead", unit="ms")
    gap = figure(name="reply to next request", sleeps=True, target=TARGET_RATIO, target_value=TARGET_MS)
    work = figure(name="reply to next request, without the pause")
    cpu = figure(name="CPU per turn")

    def once(contender: str) -> None:
        gap_ms, cpu_ms = _short_job(bench, contender, delay_ms=0)
        gap.add(contender, gap_ms)
        work.add(contender, gap_ms - SLEEPS_MS[contender])
        cpu.add(contender, cpu_ms)

    bench.alternate([gap, work, cpu], once)
    yield from (gap, work, cpu)


def hiding(bench: Bench) -> Iterator[Figure]:
    """The same with each of the scale's delays."""
    delays = bench.scale.delays_ms
    figure = partial(Figure, measure="hiding")
    gaps = [figure(name=f"reply to next request, {delay} ms added", unit="ms", sleeps=True) for delay in delays]
    factors = [figure(name=f"{delay} ms added over none", unit="x", against="") for delay in delays[1:]]
    if delays[-1] >= TARGET_DELAY_MS:
        factors[-1].target = TARGET_DELAY_FACTOR

    def once(contender: str) -> None:
        values = [_short_job(bench, contender, delay_ms=delay)[0] for delay in delays]
        for one, value in zip(gaps, values, strict=True):
            one.add(contender, value)
        for one, value in zip(factors, values[1:], strict=True):
            one.add(contender, value / values[0])

    bench.alternate([*gaps, *factors], once)
    yield from (*gaps, *factors)


def growth(bench: Bench) -> Iterator[Figure]:
    """Turns at each of the scale's sizes, in one job that grows."""
    sizes, probes = bench.scale.sizes, bench.scale.probes
    figure = partial(Figure, measure="growth")
    gaps = [figure(name=f"reply to next request at {size} messages", unit="ms", sleeps=True) for size in sizes]
    cpus = [figure(name=f"CPU per turn at {size} messages", unit="ms") for size in sizes]
    factor_name = f"CPU per turn at {sizes[-1]} messages over that at {sizes[0]}"
    factor = figure(name=factor_name, unit="x", against="")
    if sizes[-1] >= TARGET_SIZE:
        factor.target = TARGET_GROWTH
    turns, starts = _growing_turns(sizes, probes)
    plan = Plan(turns=turns, model_seconds=bench.scale.model_seconds)

    def once(contender: str) -> None:
        requests = _llm_requests(bench, contender, plan, UNCOMPACTED)
        cpu_times: list[float] = []
        for size, first, gap, cpu in zip(sizes, starts, gaps, cpus, strict=True):
            messages = requests[first].messages
            if not size <= messages <= size + INITIAL_MESSAGES:
                raise BenchError(f"it sent {messages} messages, expected {size}")
            gap_ms, cpu_ms = _turn_ms(requests[first : first + probes + 1])
            gap.add(contender, gap_ms)
            cpu.add(contender, cpu_ms)
            cpu_times.append(cpu_ms)
        factor.add(contender, cpu_times[-1] / cpu_times[0])

    bench.alternate([*gaps, *cpus, factor], once, runs=bench.scale.long_runs)
    yield from (*gaps, *cpus, factor)


def _growing_turns(sizes: Sequence[int], probes: int) -> tuple[tuple[Turn, ...], list[int]]:
    """Turns that bring a conversation to each size and those measured there; the index of each first measured turn."""
    turns: list[Turn] = []
    starts: list[int] = []
    messages = INITIAL_MESSAGES
    for size in sizes:
        while (missing := size - messages - 2) > 1:
            calls = min(CALLS_PER_TURN, missing - 1)
            turns.append(Turn(calls=calls))
            messages += calls + 1
        # Not measured: the worker still posts the events of the turns before.
        turns.append(Turn())
        starts.append(len(turns))
        turns += [Turn()] * probes
        messages += 2 * (probes + 1)
    return tuple(turns), starts


def _short_job(bench: Bench, contender: str, *, delay_ms: int) -> tuple[float, float]:
    turns = (Turn(),) * bench.scale.iterations
    plan = Plan(turns=turns, model_seconds=bench.scale.model_seconds, other_seconds=delay_ms / 1000)
    # A worker may send another request after the last reply, which is a text.
    return _turn_ms(_llm_requests(bench, contender, plan)[: len(turns) + 1])


def _llm_requests(bench: Bench, contender: str, plan: Plan, variables: dict[str, str] | None = None) -> list[Exchange]:
    requests = bench.run(contender, plan, variables).exchanges_of("llm/")
    if len(requests) <= len(plan.turns):
        raise BenchError(f"it sent {len(requests)} LLM requests, expected {len(plan.turns) + 1}")
    return requests


def _turn_ms(requests: Sequence[Exchange]) -> tuple[float, float]:
    """The milliseconds of a turn: the median between reply and next request, and the mean of its CPU time."""
    gaps = [after.began - before.replied for before, after in pairwise(requests)]
    cpu = (requests[-1].cpu - requests[0].cpu) / len(gaps)
    return statistics.median(gaps) / NS_PER_MS, cpu / NS_PER_MS
