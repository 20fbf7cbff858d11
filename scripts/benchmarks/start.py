"""Start: from the start of the process to its `GET job`, beside a process that imports the libraries and ends."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from benchmarks.children import bare_line
from benchmarks.figures import IMPORTS, Figure, UnmeasuredError
from benchmarks.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench
    from benchmarks.workers import Contender

MS = 1e6
"""Nanoseconds."""
MOST = 1.25
"""Times the bare import line, from its start to its end."""


def start(bench: Bench) -> Iterator[Figure]:
    """A job that is complete at the first reply."""
    figure = Figure(measure="start", name="process start to GET job", unit="ms", against=IMPORTS, target=MOST)

    def once(contender: Contender, _: int) -> None:
        run = bench.run(contender, Plan(turns=()))
        asked = run.log.of("job")
        if not asked:
            raise UnmeasuredError("it never asked for its job")
        figure.add(contender.name, (asked[0].began - run.began) / MS)

    # A first run writes the bytecode and warms the disk's cache.
    for contender in bench.contenders:
        with suppress(UnmeasuredError):
            bench.run(contender, Plan(turns=()))
    bare_line()
    others = {IMPORTS: lambda: figure.add(IMPORTS, bare_line() * 1000)}
    bench.in_turns([figure], once, others=others, runs=bench.scale.start_runs)
    yield figure
