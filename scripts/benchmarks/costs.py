"""What a whole job costs: its start, its peak memory, and a trace."""

from __future__ import annotations

import time
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING

import msgspec
from benchmarks.figures import BASELINE, IMPORTS, NS_PER_MS, OURS, BenchError, Figure
from benchmarks.harness import child_output
from benchmarks.orchestrator import Plan, Turn

from trioworker.observability.recording import RecordingTracer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.harness import Bench

IMPORT_LINE = "import trio, httpx, msgspec, loguru"
"""What any worker on these libraries imports; start and memory are compared with it."""
READ_PEAK = "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
SUBJECTS = (OURS, BASELINE, IMPORTS)
START_TARGET, MEMORY_TARGET = 1.25, 1.6
"""Upper limits of the ratios to the import line."""
RESULT_FILE = "result.txt"
RESULT_LINE = "def function(argument): return argument + 1  # 64 bytes per line\n"
RESULT_BYTES = 100_000
UNTRACED_JOB = "untraced"
TRACED_TARGET, UNTRACED_TARGET = 1.03, 0.01
"""Upper limits of a traced job's CPU time over that of an untraced one, and of the disabled spans' part of it."""
SPANS = 20_000
"""Spans that are timed to find the cost of one."""


def start(bench: Bench) -> Iterator[Figure]:
    """From the start of the process to `GET job`, compared with a process that imports the libraries and ends."""
    # The first run writes the bytecode and fills the disk cache.
    bench.alternate([], partial(_start_ms, bench), subjects=SUBJECTS, runs=1)
    figure = Figure(measure="start", name="process start to GET job", unit="ms", against=IMPORTS, target=START_TARGET)

    def once(subject: str) -> None:
        figure.add(subject, _start_ms(bench, subject))

    bench.alternate([figure], once, subjects=SUBJECTS, runs=bench.scale.short_runs)
    yield figure


def memory(bench: Bench) -> Iterator[Figure]:
    """Peak memory at the report, of a job with large results and of one with a huge output."""
    scale = bench.scale
    (bench.workspace / RESULT_FILE).write_text((RESULT_LINE * RESULT_BYTES)[:RESULT_BYTES])
    reading = Turn(arguments={"path": RESULT_FILE})
    yield _peak_memory(bench, f"{scale.results} results of 100 KB", (reading,) * scale.results)
    flooding = Turn(name="shell", arguments={"command": f"yes 'a line of output' | head -c {scale.output_bytes}"})
    yield _peak_memory(bench, f"an output of {scale.output_bytes // 10**6} MB", (flooding,))


def tracing(bench: Bench) -> Iterator[Figure]:
    """The CPU time of a job with and without `--trace`, and that of its spans while tracing is off."""
    figure = partial(Figure, measure="tracing", unit="ms", against=UNTRACED_JOB)
    traced = figure(name="CPU of a job", target=TRACED_TARGET)
    off = figure(name="CPU of a job's spans while off", target=UNTRACED_TARGET)
    plan = Plan(turns=(Turn(),) * bench.scale.iterations, model_seconds=bench.scale.model_seconds)
    file = bench.workspace / "trace.json"

    def once(subject: str) -> None:
        variables = {"TRIOWORKER_TRACE": str(file)} if subject == OURS else {}
        cpu = bench.run(OURS, plan, variables).cpu * 1000
        traced.add(subject, cpu)
        off.add(subject, _span_count(file) * _span_ms() if subject == OURS else cpu)

    bench.alternate([traced, off], once, subjects=(OURS, UNTRACED_JOB), runs=bench.scale.short_runs)
    yield from (traced, off)


def _start_ms(bench: Bench, subject: str) -> float:
    if subject == IMPORTS:
        began = perf_counter_ns()
        child_output("-c", IMPORT_LINE)
        return (perf_counter_ns() - began) / NS_PER_MS
    job = bench.run(subject, Plan())
    requests = job.exchanges_of("job")
    if not requests:
        raise BenchError("it never requested its job")
    return (requests[0].began - job.began) / NS_PER_MS


def _peak_memory(bench: Bench, name: str, turns: tuple[Turn, ...]) -> Figure:
    figure = Figure(measure="memory", name=f"peak RSS, {name}", unit="MiB", against=IMPORTS, target=MEMORY_TARGET)

    def once(subject: str) -> None:
        figure.add(subject, _peak_kib(bench, subject, turns) / 1024)

    bench.alternate([figure], once, subjects=SUBJECTS, runs=bench.scale.long_runs)
    return figure


def _peak_kib(bench: Bench, subject: str, turns: tuple[Turn, ...]) -> int:
    if subject == IMPORTS:
        return int(child_output("-c", f"{IMPORT_LINE}\n{READ_PEAK}"))
    job = bench.run(subject, Plan(turns=turns))
    if len(job.exchanges_of("llm/")) <= len(turns):
        raise BenchError("it ended early")
    return job.peak_kib


def _span_count(file: Path) -> int:
    recorded = msgspec.json.decode(file.read_bytes(), type=list[dict[str, object]])
    return sum(event["ph"] in {"X", "B"} for event in recorded)


def _span_ms() -> float:
    """CPU milliseconds of a span while tracing is off, with one attribute at its start and one at its end."""
    untraced = RecordingTracer([], str)
    began = time.process_time()
    for number in range(SPANS):
        with untraced.span("request", "benchmark", number=number) as span:
            span.set(status=200)
    return (time.process_time() - began) * 1000 / SPANS
