"""Measures trioworker against a sequential baseline, alternating between them.

Each figure is a median of several runs, with its minimum, its maximum, and its ratio to a reference.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.costs import memory, start, tracing
from benchmarks.figures import HEADING, BenchError, record, recorded_ratios, regressions
from benchmarks.harness import FULL, QUICK, Bench
from benchmarks.safety import safety
from benchmarks.tokens import tokens
from benchmarks.turns import growth, hiding, overhead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchmarks.figures import Figure

MEASURES: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    measure.__name__: measure for measure in (overhead, hiding, start, growth, memory, safety, tokens, tracing)
}
CHECKS = 3
"""How often a ratio has to exceed its limit to be a regression."""
MEASURED, REGRESSED, BAD_USAGE = 0, 1, 2
EXIT_CODES = "exit codes: 0 measured; 1 a ratio exceeds the recorded one too far (--check); 2 bad usage"


def main() -> int:
    """Measure the requested figures and print them."""
    options = _parser().parse_args()
    # Ends the worker on the way out.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        # Before the measurement: a missing file should be reported at once.
        recorded = recorded_ratios(options.check, options.scale.name) if options.check else {}
        print(_machine(), HEADING, sep="\n", flush=True)
        with tempfile.TemporaryDirectory(prefix="trioworker-bench-") as folder:
            bench = Bench(options.scale, Path(folder))
            figures = _measure(bench, options.only)
            found = _confirmed(bench, recorded, figures)
        if options.record:
            record(options.record, options.scale.name, figures)
    except (OSError, BenchError) as error:
        sys.stderr.write(f"scripts/bench: {error}\n")
        return BAD_USAGE
    for line in found:
        print(f"regression: {line}")
    return REGRESSED if found else MEASURED


def _parser() -> argparse.ArgumentParser:
    description = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="scripts/bench", description=description, epilog=EXIT_CODES)
    parser.add_argument("--only", type=_measures, default=list(MEASURES), metavar="NAME,…", help=", ".join(MEASURES))
    quick = {"dest": "scale", "action": "store_const", "const": QUICK, "default": FULL}
    parser.add_argument("--quick", **quick, help="a small measurement for CI: under 90 s")
    parser.add_argument("--check", type=Path, metavar="FILE", help="compare our ratios with those recorded in FILE")
    parser.add_argument("--record", type=Path, metavar="FILE", help="record our ratios in FILE")
    return parser


def _measures(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or not set(names) <= set(MEASURES):
        raise argparse.ArgumentTypeError(f"{text!r}: expected names of {', '.join(MEASURES)}")
    return names


def _measure(bench: Bench, measures: Iterable[str]) -> list[Figure]:
    """The figures, each printed as soon as it is measured."""
    figures: list[Figure] = []
    for name in measures:
        began = time.monotonic()
        for figure in MEASURES[name](bench):
            figures.append(figure)
            print("\n".join(figure.lines()), flush=True)
        print(f"  {name} took {time.monotonic() - began:.0f} s", flush=True)
    return figures


def _confirmed(bench: Bench, recorded: dict[str, float], figures: Sequence[Figure]) -> list[str]:
    """Lines for the regressions found in each of `CHECKS` measurements: a single one may be a busy machine's."""
    found = regressions(recorded, figures)
    for _ in range(CHECKS - 1):
        if not found:
            break
        print(f"measuring again: {', '.join(found)}", flush=True)
        measures = [name for name in MEASURES if any(key.startswith(f"{name}: ") for key in found)]
        again = regressions(recorded, _measure(bench, measures))
        found = {key: line for key, line in again.items() if key in found}
    return list(found.values())


def _machine() -> str:
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return f"{cores} cores, load {load:.2f}, Linux {platform.release()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
