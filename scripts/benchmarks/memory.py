"""Memory: the largest resident memory of a worker, at its report; the bare import line's is what it is held against."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.children import BARE_LINE
from benchmarks.figures import IMPORTS, Figure, UnmeasuredError
from benchmarks.plan import Plan, Turn
from benchmarks.workers import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench
    from benchmarks.workers import Contender

RESULT_FILE = "result.txt"
RESULT_BYTES = 100_000
"""Bytes of the file that is read each turn."""
MOST = 1.6
"""Times the bare import line's."""
_LINE = "def function(argument): return argument + 1  # 64 bytes a line\n"


def memory(bench: Bench) -> Iterator[Figure]:
    """Of a job with large results, and of one with a huge output."""
    scale = bench.scale
    (bench.workspace / RESULT_FILE).write_text((_LINE * (RESULT_BYTES // len(_LINE) + 1))[:RESULT_BYTES])
    reading = Turn(arguments={"path": RESULT_FILE})
    flooding = Turn(name="shell", arguments={"command": f"yes 'a line of output' | head -c {scale.output_bytes}"})
    yield from _peak(
        bench, f"{scale.result_iterations} results of 100 KB", Plan(turns=(reading,) * scale.result_iterations)
    )
    yield from _peak(bench, f"an output of {scale.output_bytes // 10**6} MB", Plan(turns=(flooding,)))


def _peak(bench: Bench, name: str, plan: Plan) -> Iterator[Figure]:
    figure = Figure(measure="memory", name=f"peak RSS, {name}", unit="MiB", against=IMPORTS, target=MOST)
    calls = sum(turn.calls for turn in plan.turns)

    def once(contender: Contender, _: int) -> None:
        log = bench.run(contender, plan).log
        if len(log.of("llm/")) <= calls:
            raise UnmeasuredError("it ended early")
        if log.peak_kib is None:
            raise UnmeasuredError("its process could not be looked at")
        figure.add(contender.name, log.peak_kib / 1024)

    bench.in_turns(
        [figure], once, others={IMPORTS: lambda: figure.add(IMPORTS, _imports_peak())}, runs=bench.scale.memory_runs
    )
    yield figure


def _imports_peak() -> float:
    code = f"{BARE_LINE}\nprint(open('/proc/self/status').read())"
    command = [sys.executable, "-c", code]
    status = subprocess.run(command, check=True, capture_output=True, text=True, env=environment()).stdout
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024
