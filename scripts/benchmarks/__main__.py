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
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from benchmarks.costs import events, fleet, memory, start, tracing
from benchmarks.figures import HEADING, RecordedRatiosError, UnmeasuredError, record, recorded_ratios, regressions
from benchmarks.harness import Bench, contenders, orchestrator
from benchmarks.plan import FULL, QUICK, SMOKE
from benchmarks.safety import safety
from benchmarks.turns import growth, hiding, overhead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchmarks.figures import Figure, Ratios

FORMAT = 2
"""Version of the JSON file."""
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
CHECKS = 3
"""How often a ratio has to exceed its limit to be a regression."""
MEASURED, REGRESSED, BAD_USAGE = 0, 1, 2
EXIT_CODES = "exit codes: 0 measured; 1 a ratio is over twice the recorded one (--check); 2 bad usage"
LIBRARIES = ("trioworker", "trio", "httpx", "h11", "msgspec", "loguru", "google-re2")


def main() -> int:
    """Measure the requested figures and print them."""
    options = _parser().parse_args()
    scale = options.scale
    # Ends the workers on the way out.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    began = time.monotonic()
    machine = _machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items() if name != "libraries"))
    print(HEADING, flush=True)
    try:
        # Before the measurement: a missing file should be reported at once.
        recorded = recorded_ratios(options.check, scale.name) if options.check else {}
        figures = _measure(options, options.only)
        found = _confirmed(options, recorded, figures)
        seconds = time.monotonic() - began
        print(f"all took {seconds:.0f} s")
        result: dict[str, Any] = {"format": FORMAT, "scale": scale.name, "machine": machine}
        result |= {"command": ["scripts/bench", *sys.argv[1:]], "seconds": round(seconds, 1)}
        result["figures"] = [figure.as_json() for figure in figures]
        if options.json:
            options.json.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
        if options.record:
            record(options.record, scale.name, figures)
    except (OSError, UnmeasuredError, RecordedRatiosError) as error:
        sys.stderr.write(f"scripts/bench: {error}\n")
        return BAD_USAGE
    for line in found:
        print(f"regression: {line}")
    return REGRESSED if found else MEASURED


def _parser() -> argparse.ArgumentParser:
    description = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="scripts/bench", description=description, epilog=EXIT_CODES)
    parser.add_argument("--only", type=_measures, default=list(MEASURES), metavar="NAME,…", help=", ".join(MEASURES))
    scales = parser.add_mutually_exclusive_group()
    scales.set_defaults(scale=FULL)
    for scale, text in ((QUICK, "a small measurement for CI: under 90 s"), (SMOKE, "only check that it works")):
        scales.add_argument(f"--{scale.name}", dest="scale", action="store_const", const=scale, help=text)
    peer_help = "another worker: its command with {job_id} and {url}; not a launcher, whose process would be measured"
    parser.add_argument("--peer", action="append", default=[], metavar="COMMAND", help=peer_help)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--check", type=Path, metavar="FILE", help="compare our ratios with those recorded in FILE")
    parser.add_argument("--record", type=Path, metavar="FILE", help="record our ratios in FILE")
    return parser


def _measures(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or not set(names) <= set(MEASURES):
        raise argparse.ArgumentTypeError(f"{text!r}: expected names of {', '.join(MEASURES)}")
    return names


def _measure(options: argparse.Namespace, measures: Iterable[str]) -> list[Figure]:
    """The figures, each printed as soon as it is measured."""
    figures: list[Figure] = []
    with (
        tempfile.TemporaryDirectory(prefix="trioworker-bench-") as folder,
        orchestrator() as control,
        Bench(control, contenders(options.peer), options.scale, Path(folder)) as bench,
    ):
        for name in measures:
            began = time.monotonic()
            for figure in MEASURES[name](bench):
                figures.append(figure)
                print("\n".join(figure.lines()), flush=True)
            print(f"  {name} took {time.monotonic() - began:.0f} s", flush=True)
    return figures


def _confirmed(options: argparse.Namespace, recorded: Ratios, figures: Sequence[Figure]) -> list[str]:
    """Lines for the regressions found in each of `CHECKS` measurements: a single one may be a busy machine's."""
    found = regressions(recorded, figures)
    for _ in range(CHECKS - 1):
        if not found:
            break
        print(f"measuring again: {', '.join(found)}", flush=True)
        measures = [name for name in MEASURES if any(key.startswith(f"{name}: ") for key in found)]
        again = regressions(recorded, _measure(options, measures))
        found = {key: line for key, line in again.items() if key in found}
    return list(found.values())


def _machine() -> dict[str, Any]:
    """Date, processor, cores, memory, load, kernel, Python and libraries."""
    cpu_info = Path("/proc/cpuinfo").read_text()
    models = (line.partition(":")[2].strip() for line in cpu_info.splitlines() if line.startswith("model name"))
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": next(models, platform.machine()),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "load": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


if __name__ == "__main__":
    sys.exit(main())
