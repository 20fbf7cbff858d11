"""`scripts/profile`: the worker of the overhead benchmark under pyinstrument, and where its CPU time went.

pyinstrument samples from within the worker. A profiler that looks in from outside, such as py-spy, would need root:
the worker closes its memory to other processes of its user, so that no tool reads its token there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.control import orchestrator
from benchmarks.figures import UnmeasuredError
from benchmarks.plan import NOOP_FILE, Plan, Turn
from benchmarks.workers import Contender, RunningWorker
from flames.flamegraph import flamegraph
from flames.tracepicture import picture

INTERVAL = 0.0002
"""Seconds between two samples: some ten of each turn, and the worker runs at a third of its speed."""
MODEL_SECONDS = 0.15
"""What the model of the overhead benchmark takes: the pace of 100 ms then waits for nothing."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/profile", description="Profile the worker in the overhead benchmark."
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("profile"), help="where to write (default profile)"
    )
    parser.add_argument("--turns", metavar="N", type=int, default=50, help="iterations of the job (default 50)")
    parser.add_argument("--picture", metavar="FILE", type=Path, help="draw this trace file to stdout as SVG instead")
    options = parser.parse_args()
    if options.picture:
        sys.stdout.write(picture(options.picture))
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    session = options.out / "session.pyisession"
    try:
        profile(session, options.turns)
    except UnmeasuredError as error:
        sys.stderr.write(f"scripts/profile: {error}\n")
        return 1
    (options.out / "flamegraph.svg").write_text(flamegraph(session))
    speedscope(session, options.out / "speedscope.json")
    print(f"{options.out}/flamegraph.svg: open it in a browser; {options.out}/speedscope.json: in speedscope.app")
    return 0


def profile(session: Path, turns: int) -> None:
    """Run the job; the session holds the samples."""
    sampled = ("-m", "pyinstrument", "-r", "pyisession", "-o", str(session.absolute()), "-i", str(INTERVAL))
    told = ("--job-id", "{job_id}", "--orchestrator-url", "{url}")
    worker = Contender(name="profiled", command=(sys.executable, *sampled, "-m", "trioworker", "worker", *told))
    with orchestrator() as control, tempfile.TemporaryDirectory() as workspace:
        Path(workspace, NOOP_FILE).touch()
        plan = Plan(turns=(Turn(),) * turns, model_seconds=MODEL_SECONDS)
        RunningWorker(worker, plan, control, Path(workspace), {}).ended()


def speedscope(session: Path, target: Path) -> None:
    command = ("-m", "pyinstrument", "--load", str(session), "-r", "speedscope", "--show-all", "-o", str(target))
    subprocess.run([sys.executable, *command], check=True)


if __name__ == "__main__":
    sys.exit(main())
