"""Fleet: many jobs at once on this machine, each a process of its own: what one of them costs."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, UnmeasuredError
from benchmarks.plan import Plan, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench
    from benchmarks.workers import Contender

MOST_ITERATIONS = 10
"""Of each job: a start is not all that is seen, and fifty jobs do not take minutes."""
SECOND = 1e9
"""Nanoseconds."""


def fleet(bench: Bench) -> Iterator[Figure]:
    """All of one kind at once, then all of the next."""
    count = bench.scale.fleet
    cpu = Figure(measure="fleet", name=f"CPU of each of {count} workers", unit="s")
    peak = Figure(measure="fleet", name=f"peak RSS of each of {count} workers", unit="MiB")
    whole = Figure(measure="fleet", name=f"all {count} jobs", unit="s")
    iterations = min(bench.scale.iterations, MOST_ITERATIONS)
    plan = Plan(turns=(Turn(),) * iterations, model_seconds=bench.scale.model_seconds)

    def once(contender: Contender, _: int) -> None:
        began = perf_counter_ns()
        running = [bench.start(contender, plan) for _ in range(count)]
        failures: list[UnmeasuredError] = []
        for worker in running:
            try:
                run = worker.ended()
            except UnmeasuredError as error:
                failures.append(error)
                continue
            cpu.add(contender.name, run.cpu)
            if run.log.peak_kib is not None:
                peak.add(contender.name, run.log.peak_kib / 1024)
        if failures:
            raise UnmeasuredError(f"{len(failures)} of {count} failed: {failures[0]}")
        whole.add(contender.name, (perf_counter_ns() - began) / SECOND)

    # Each run is of many workers, so it need not be repeated as often.
    bench.in_turns([cpu, peak, whole], once, runs=1)
    yield from (cpu, peak, whole)
