"""Turns: the time from an LLM reply to the next LLM request, and the CPU time of a turn.

`overhead` measures a short conversation, `hiding` the same while every request except the LLM's takes longer: what a
worker does concurrently doesn't slow its turns. `growth` measures long conversations.
"""

from __future__ import annotations

import statistics
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
from benchmarks.baseline import PAUSE
from benchmarks.figures import BASELINE, OURS, Figure, UnmeasuredError
from benchmarks.plan import Plan, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.harness import Bench, Contender
    from benchmarks.plan import Exchange

NS_PER_MS = 1e6
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


class Turns(msgspec.Struct, frozen=True):
    """Medians of one job's turns, in ms: between reply and request, and the CPU time."""

    gap: float
    cpu: float


def overhead(bench: Bench) -> Iterator[Figure]:
    """Turns of a short conversation."""
    figure = partial(Figure, measure="overhead", unit="ms")
    gap = figure(name="reply to next request", sleeps=True, target=TARGET_RATIO, target_value=TARGET_MS)
    work = figure(name="reply to next request, without the pause")
    cpu = figure(name="CPU per turn")

    def once(contender: Contender, _: int) -> None:
        turns = _short_job(bench, contender, delay_ms=0)
        gap.add(contender.name, turns.gap)
        cpu.add(contender.name, turns.cpu)
        if contender.name in SLEEPS_MS:
            work.add(contender.name, turns.gap - SLEEPS_MS[contender.name])
        else:
            work.give_up(contender.name, "it is unknown whether it sleeps")

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

    def once(contender: Contender, _: int) -> None:
        values = [_short_job(bench, contender, delay_ms=delay).gap for delay in delays]
        for one, value in zip(gaps, values, strict=True):
            one.add(contender.name, value)
        for one, value in zip(factors, values[1:], strict=True):
            one.add(contender.name, value / values[0])

    bench.alternate([*gaps, *factors], once)
    yield from (*gaps, *factors)


def growth(bench: Bench) -> Iterator[Figure]:
    """Turns at each of the scale's sizes, in one job that grows; measured after the worker has posted everything."""
    sizes, probes = bench.scale.sizes, bench.scale.probes
    figure = partial(Figure, measure="growth")
    gaps = [figure(name=f"reply to next request at {size} messages", unit="ms", sleeps=True) for size in sizes]
    cpus = [figure(name=f"CPU per turn at {size} messages", unit="ms") for size in sizes]
    target = TARGET_GROWTH if sizes[-1] >= TARGET_SIZE else None
    factor_name = f"CPU per turn at {sizes[-1]} messages over that at {sizes[0]}"
    factor = figure(name=factor_name, unit="x", against="", target=target)
    turns = tuple(_growing_turns(bench))
    plan = Plan(turns=turns, model_seconds=bench.scale.model_seconds)

    def once(contender: Contender, _: int) -> None:
        requests = _llm_requests(bench, contender, plan, UNCOMPACTED)
        values: list[float] = []
        for size, gap, cpu in zip(sizes, gaps, cpus, strict=True):
            first = next(index for index, turn in enumerate(turns) if turn.label == str(size))
            probed = requests[first : first + probes + 1]
            if not size <= probed[0].messages <= probed[-1].messages <= size + 2 * probes + INITIAL_MESSAGES:
                raise UnmeasuredError(f"it sent {probed[0].messages} messages, expected {size}")
            measured = _turns(probed)
            gap.add(contender.name, measured.gap)
            cpu.add(contender.name, measured.cpu)
            values.append(measured.cpu)
        factor.add(contender.name, values[-1] / values[0])

    bench.alternate([*gaps, *cpus, factor], once, runs=bench.scale.long_runs)
    yield from (*gaps, *cpus, factor)


def _growing_turns(bench: Bench) -> Iterator[Turn]:
    """Turns that bring a conversation to each size, and those measured there."""
    messages = INITIAL_MESSAGES
    for size in bench.scale.sizes:
        while (missing := size - messages - 2) > 1:
            calls = min(CALLS_PER_TURN, missing - 1)
            yield Turn(calls=calls)
            messages += calls + 1
        yield Turn(settled=True)
        yield from (Turn(label=str(size)),) * bench.scale.probes
        messages += 2 * (bench.scale.probes + 1)


def _short_job(bench: Bench, contender: Contender, *, delay_ms: int) -> Turns:
    turns = (Turn(),) * bench.scale.iterations
    plan = Plan(turns=turns, model_seconds=bench.scale.model_seconds, other_seconds=delay_ms / 1000)
    # A worker may send another request after the last reply, which is a text.
    return _turns(_llm_requests(bench, contender, plan)[: len(turns) + 1])


def _llm_requests(
    bench: Bench, contender: Contender, plan: Plan, variables: dict[str, str] | None = None
) -> list[Exchange]:
    requests = bench.run(contender, plan, variables).log.of("llm/")
    if len(requests) <= len(plan.turns):
        raise UnmeasuredError(f"it sent {len(requests)} LLM requests, expected {len(plan.turns) + 1}")
    return requests


def _turns(requests: Sequence[Exchange]) -> Turns:
    first, last = requests[0].cpu, requests[-1].cpu
    if first is None or last is None:
        raise UnmeasuredError("the CPU time of its process could not be read")
    gaps = [(after.began - before.replied) / NS_PER_MS for before, after in pairwise(requests)]
    return Turns(statistics.median(gaps), (last - first) / NS_PER_MS / (len(requests) - 1))
