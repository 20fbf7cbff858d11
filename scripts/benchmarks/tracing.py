"""Tracing: what a trace adds to the CPU of the overhead job, and what its calls cost in a job that nobody traces."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
from benchmarks.figures import OURS, Figure, UnmeasuredError
from benchmarks.plan import Plan, Turn

from trioworker.observability.spans import UNTRACED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.bench import Bench
    from benchmarks.workers import Contender

MS = 1e3
"""Milliseconds of a second."""
UNTRACED_JOB = "untraced"
"""Who the traced job is held against: the same job without a trace."""
MOST_TRACED = 1.03
"""Times the CPU of the untraced job."""
MOST_OFF = 0.01
"""The part of a job's CPU below which no run on this machine would show a difference."""
CALLS = 20_000
"""Spans by which the cost of one is taken."""


def tracing(bench: Bench) -> Iterator[Figure]:
    """The overhead job with and without `--trace`, in turns."""
    traced = Figure(measure="tracing", name="CPU of a job", unit="ms", against=UNTRACED_JOB, target=MOST_TRACED)
    off = Figure(
        measure="tracing", name="CPU of a job's spans while off", unit="ms", against=UNTRACED_JOB, target=MOST_OFF
    )
    ours = next(contender for contender in bench.contenders if contender.name == OURS)
    plan = Plan(turns=(Turn(),) * bench.scale.iterations, model_seconds=bench.scale.model_seconds)
    file = bench.workspace / "trace.json"
    try:
        for number in range(bench.scale.tracing_runs):
            variables = {"TRIOWORKER_TRACE": str(file)}
            # A B B A: whoever comes second in a pair finds a machine in another state.
            order = ((OURS, variables), (UNTRACED_JOB, {}))
            for subject, given in order if number % 2 else reversed(order):
                cpu = _cpu_ms(bench, ours, plan, given)
                traced.add(subject, cpu)
                if subject == UNTRACED_JOB:
                    off.add(UNTRACED_JOB, cpu)
            off.add(OURS, _spans(file) * _span_ms())
    except UnmeasuredError as error:
        traced.give_up(OURS, str(error))
        off.give_up(OURS, str(error))
    yield from (traced, off)


def _cpu_ms(bench: Bench, contender: Contender, plan: Plan, variables: dict[str, str]) -> float:
    return bench.run(contender, plan, variables).cpu * MS


def _spans(file: Path) -> int:
    """Spans of the job, told by its trace."""
    events = msgspec.json.decode(file.read_bytes(), type=list[dict[str, object]])
    return sum(event["ph"] in {"X", "B"} for event in events)


def _span_ms() -> float:
    """CPU milliseconds of a span that nobody records, with an attribute when it begins and one more at its end."""
    began = time.process_time()
    for number in range(CALLS):
        with UNTRACED.span("request", "benchmark", number=number) as span:
            span.set(status=200)
    return (time.process_time() - began) * MS / CALLS
