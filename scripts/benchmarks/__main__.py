"""Measures trioworker against a sequential baseline, in turns: A B A B.

Each figure is a median of several runs, with its least and greatest value and its ratio to what it is held against.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from benchmarks import table
from benchmarks.bench import Bench
from benchmarks.control import orchestrator
from benchmarks.events import events
from benchmarks.figures import UnmeasuredError
from benchmarks.fleet import fleet
from benchmarks.growth import growth
from benchmarks.machine import machine, told
from benchmarks.memory import memory
from benchmarks.overhead import hiding, overhead
from benchmarks.recorded import CheckError, record, recorded_ratios, regressions
from benchmarks.safety import safety
from benchmarks.scale import FULL, QUICK, SMOKE
from benchmarks.start import start
from benchmarks.tracing import tracing
from benchmarks.workers import baseline, ours, peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchmarks.figures import Figure
    from benchmarks.recorded import Ratios

FORMAT = 1
"""Of the JSON; a change that a reader would misread counts it up."""
MEASURES: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "overhead": overhead,
    "hiding": hiding,
    "start": start,
    "growth": growth,
    "memory": memory,
    "safety": safety,
    "tracing": tracing,
    "events": events,
    "fleet": fleet,
}
LOOKS = 3
"""Times that a figure has to be worse than recorded to count as a regression."""
HELD, REGRESSED, BAD_USAGE = 0, 1, 2
SIGNAL_BASE = 128
"""The exit code after signal N is 128 + N, as shells tell it."""
EXIT_CODES = "exit codes: 0 measured; 1 a ratio is over twice what was recorded (--check); 2 bad usage"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for, and tell it."""
    parsed = _parser().parse_args(arguments)
    scale = parsed.scale
    # An exit like any other, so that what was started is ended.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(SIGNAL_BASE + number))
    began = time.monotonic()
    seen = machine()
    print(f"{told(seen)}\n{table.heading()}", flush=True)
    try:
        # Looked at first: a missing file should not be told of after ten minutes.
        known = recorded_ratios(parsed.check, scale.name) if parsed.check else {}
        figures = _measured(parsed, parsed.only)
        found = _confirmed(parsed, known, figures)
    except (UnmeasuredError, CheckError) as error:
        return _complain(str(error))
    seconds = time.monotonic() - began
    print(f"all took {seconds:.0f} s")
    result = {
        "format": FORMAT,
        "scale": scale.name,
        "machine": seen,
        "command": ["scripts/bench", *(sys.argv[1:] if arguments is None else arguments)],
        "seconds": round(seconds, 1),
        "figures": [figure.as_json() for figure in figures],
    }
    try:
        if parsed.json:
            parsed.json.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
        if parsed.record:
            record(parsed.record, scale.name, figures)
    except (OSError, CheckError) as error:
        return _complain(str(error))
    for line in found:
        print(f"regression: {line}")
    return REGRESSED if found else HELD


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=(__doc__ or "").partition("\n")[0], epilog=EXIT_CODES
    )
    parser.add_argument("--only", type=_measures, default=list(MEASURES), metavar="NAME,…", help=", ".join(MEASURES))
    scales = parser.add_mutually_exclusive_group()
    scales.set_defaults(scale=FULL)
    for scale, text in ((QUICK, "less of everything, for CI: under 90 s"), (SMOKE, "hardly anything: does it work?")):
        scales.add_argument(f"--{scale.name}", dest="scale", action="store_const", const=scale, help=text)
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="COMMAND",
        help="another worker: its command with {job_id} and {url}; the worker itself, not what launches it",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--check", type=Path, metavar="FILE", help="compare our ratios with those recorded in FILE")
    parser.add_argument("--record", type=Path, metavar="FILE", help="record our ratios in FILE")
    return parser


def _measures(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in MEASURES]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{text!r}: there are {', '.join(MEASURES)}")
    return names


def _confirmed(parsed: argparse.Namespace, known: Ratios, figures: Sequence[Figure]) -> list[str]:
    """Lines for the regressions that each of `LOOKS` measurements shows: what one alone shows is the machine's."""
    found = regressions(known, figures)
    for _ in range(LOOKS - 1):
        if not found:
            break
        print(f"looked at again: {', '.join(found)}", flush=True)
        measures = [name for name in MEASURES if any(key.startswith(f"{name}: ") for key in found)]
        again = regressions(known, _measured(parsed, measures))
        found = {key: line for key, line in again.items() if key in found}
    return list(found.values())


def _measured(parsed: argparse.Namespace, measures: Iterable[str]) -> list[Figure]:
    """The figures, each printed as soon as it is there."""
    peers = [peer(number, command) for number, command in enumerate(parsed.peer, 1)]
    contenders = [ours(), baseline(), *peers]
    figures: list[Figure] = []
    with (
        tempfile.TemporaryDirectory(prefix="trioworker-bench-") as folder,
        orchestrator() as control,
        Bench(control, contenders, parsed.scale, Path(folder)) as bench,
    ):
        for name in measures:
            began = time.monotonic()
            for figure in MEASURES[name](bench):
                figures.append(figure)
                print("\n".join(table.lines(figure)), flush=True)
            print(f"  {name} took {time.monotonic() - began:.0f} s", flush=True)
    return figures


def _complain(message: str) -> int:
    sys.stderr.write(f"scripts/bench: {message}\n")
    return BAD_USAGE


if __name__ == "__main__":
    sys.exit(main())
