"""What a whole job costs: its start, its peak memory, a trace, its events, and many jobs at once."""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import suppress
from functools import partial
from itertools import pairwise
from time import perf_counter_ns
from typing import TYPE_CHECKING

import msgspec
from benchmarks.figures import IMPORTS, OURS, Figure, UnmeasuredError
from benchmarks.harness import child_output
from benchmarks.plan import Plan, Turn
from benchmarks.turns import CALLS_PER_TURN, NS_PER_MS

from trioworker.observability.spans import UNTRACED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.harness import Bench, Contender

IMPORT_LINE = "import trio, httpx, msgspec, loguru"
"""What any worker on these libraries imports; start and memory are compared with it."""
READ_PEAK = "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
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
WITH_JOURNAL = "with a journal"
FLEET_ITERATIONS = 10
"""Upper limit of the iterations of each job of a fleet: fifty jobs should not take minutes."""


def start(bench: Bench) -> Iterator[Figure]:
    """From the start of the process to `GET job`, compared with a process that imports the libraries and ends."""
    figure = Figure(measure="start", name="process start to GET job", unit="ms", against=IMPORTS, target=START_TARGET)

    def once(contender: Contender, _: int) -> None:
        run = bench.run(contender, Plan(turns=()))
        requests = run.log.of("job")
        if not requests:
            raise UnmeasuredError("it never requested its job")
        figure.add(contender.name, (requests[0].began - run.began) / NS_PER_MS)

    def imports() -> None:
        began = perf_counter_ns()
        child_output("-c", IMPORT_LINE)
        figure.add(IMPORTS, (perf_counter_ns() - began) / NS_PER_MS)

    # The first run writes the bytecode and fills the disk cache.
    for contender in bench.contenders:
        with suppress(UnmeasuredError):
            bench.run(contender, Plan(turns=()))
    child_output("-c", IMPORT_LINE)
    bench.alternate([figure], once, others={IMPORTS: imports}, runs=bench.scale.short_runs)
    yield figure


def memory(bench: Bench) -> Iterator[Figure]:
    """Peak memory at the report, of a job with large results and of one with a huge output."""
    scale = bench.scale
    text = RESULT_LINE * (RESULT_BYTES // len(RESULT_LINE) + 1)
    (bench.workspace / RESULT_FILE).write_text(text[:RESULT_BYTES])
    reading = Turn(arguments={"path": RESULT_FILE})
    flooding = Turn(name="shell", arguments={"command": f"yes 'a line of output' | head -c {scale.output_bytes}"})
    for name, turns in (
        (f"{scale.results} results of 100 KB", (reading,) * scale.results),
        (f"an output of {scale.output_bytes // 10**6} MB", (flooding,)),
    ):
        figure = Figure(measure="memory", name=f"peak RSS, {name}", unit="MiB", against=IMPORTS, target=MEMORY_TARGET)

        def once(contender: Contender, _: int, figure: Figure = figure, turns: tuple[Turn, ...] = turns) -> None:
            log = bench.run(contender, Plan(turns=turns)).log
            if len(log.of("llm/")) <= len(turns):
                raise UnmeasuredError("it ended early")
            figure.add(contender.name, _peak_mib(log.peak_kib))

        def imports(figure: Figure = figure) -> None:
            figure.add(IMPORTS, int(child_output("-c", f"{IMPORT_LINE}\n{READ_PEAK}")) / 1024)

        bench.alternate([figure], once, others={IMPORTS: imports}, runs=scale.long_runs)
        yield figure


def tracing(bench: Bench) -> Iterator[Figure]:
    """The CPU time of a job with and without `--trace`, and that of its spans while tracing is off."""
    figure = partial(Figure, measure="tracing", unit="ms", against=UNTRACED_JOB)
    traced = figure(name="CPU of a job", target=TRACED_TARGET)
    off = figure(name="CPU of a job's spans while off", target=UNTRACED_TARGET)
    ours = next(contender for contender in bench.contenders if contender.name == OURS)
    plan = Plan(turns=(Turn(),) * bench.scale.iterations, model_seconds=bench.scale.model_seconds)
    file = bench.workspace / "trace.json"
    try:
        for number in range(bench.scale.short_runs):
            # A B B A: the second of a pair finds the machine in another state.
            order: tuple[tuple[str, dict[str, str]], ...] = (
                (OURS, {"TRIOWORKER_TRACE": str(file)}),
                (UNTRACED_JOB, {}),
            )
            for subject, variables in order if number % 2 else reversed(order):
                cpu = bench.run(ours, plan, variables).cpu * 1000
                traced.add(subject, cpu)
                if subject == UNTRACED_JOB:
                    off.add(UNTRACED_JOB, cpu)
            off.add(OURS, _span_count(file) * _span_ms())
    except UnmeasuredError as error:
        traced.give_up(OURS, str(error))
        off.give_up(OURS, str(error))
    yield from (traced, off)


def events(bench: Bench) -> Iterator[Figure]:
    """The time between two events while many are shipped; ours also with a journal, in the temporary folder."""
    figure = Figure(measure="events", name="from one event to the next", unit="ms")

    def once(contender: Contender, _: int) -> None:
        figure.add(contender.name, _event_ms(bench, contender, {}))

    def with_journal() -> None:
        with tempfile.TemporaryDirectory() as folder:
            figure.add(WITH_JOURNAL, _event_ms(bench, bench.contenders[0], {"TRIOWORKER_STATE_DIR": folder}))

    bench.alternate([figure], once, others={WITH_JOURNAL: with_journal})
    yield figure


def fleet(bench: Bench) -> Iterator[Figure]:
    """Many jobs at once on this machine, each a process: first all of one contender, then all of the next."""
    count = bench.scale.fleet
    figure = partial(Figure, measure="fleet")
    cpu = figure(name=f"CPU of each of {count} workers", unit="s")
    peak = figure(name=f"peak RSS of each of {count} workers", unit="MiB")
    whole = figure(name=f"all {count} jobs", unit="s")
    iterations = min(bench.scale.iterations, FLEET_ITERATIONS)
    plan = Plan(turns=(Turn(),) * iterations, model_seconds=bench.scale.model_seconds)

    def once(contender: Contender, _: int) -> None:
        began = perf_counter_ns()
        workers = [bench.start(contender, plan) for _ in range(count)]
        failures: list[UnmeasuredError] = []
        for worker in workers:
            try:
                run = worker.wait()
                cpu.add(contender.name, run.cpu)
                peak.add(contender.name, _peak_mib(run.log.peak_kib))
            except UnmeasuredError as error:
                failures.append(error)
        if failures:
            raise UnmeasuredError(f"{len(failures)} of {count} failed: {failures[0]}")
        whole.add(contender.name, (perf_counter_ns() - began) / 1e9)

    # One run is of many workers.
    bench.alternate([cpu, peak, whole], once, runs=1)
    yield from (cpu, peak, whole)


def _peak_mib(kib: int | None) -> float:
    if kib is None:
        raise UnmeasuredError("the memory of its process could not be read")
    return kib / 1024


def _span_count(file: Path) -> int:
    recorded = msgspec.json.decode(file.read_bytes(), type=list[dict[str, object]])
    return sum(event["ph"] in {"X", "B"} for event in recorded)


def _span_ms() -> float:
    """CPU milliseconds of a span while tracing is off, with one attribute at its start and one at its end."""
    began = time.process_time()
    for number in range(SPANS):
        with UNTRACED.span("request", "benchmark", number=number) as span:
            span.set(status=200)
    return (time.process_time() - began) * 1000 / SPANS


def _event_ms(bench: Bench, contender: Contender, variables: dict[str, str]) -> float:
    """The median time from one event to the next: pauses with nothing to ship don't count."""
    calls = bench.scale.event_calls
    turns = [Turn(calls=min(CALLS_PER_TURN, calls - made)) for made in range(0, calls, CALLS_PER_TURN)]
    shipped = bench.run(contender, Plan(turns=tuple(turns)), variables).log.of("event")
    if len(shipped) < 2 * calls:
        raise UnmeasuredError(f"{len(shipped)} events arrived, expected {2 * calls}")
    return statistics.median(after.began - before.began for before, after in pairwise(shipped)) / NS_PER_MS
