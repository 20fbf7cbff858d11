"""Profiles the worker of the overhead benchmark with pyinstrument, which samples from inside the worker.

Each sample names the actor whose step it interrupted. A profiler that reads the worker's memory, such as py-spy, needs
`--attachable` or root.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.actor_shares import actor_shares
from benchmarks.figures import BenchError
from benchmarks.harness import FULL, Bench
from benchmarks.orchestrator import Plan, Turn
from benchmarks.sampled_worker import ACTOR_FILE
from pyinstrument.processors import remove_first_pyinstrument_frames_processor
from pyinstrument.renderers import ConsoleRenderer, HTMLRenderer, SpeedscopeRenderer
from pyinstrument.session import Session

INTERVAL = 0.0002
"""Seconds between two samples: about ten per turn. The worker runs at a third of its speed."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/profile", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("profile"), help="output folder (default profile)"
    )
    parser.add_argument("--turns", metavar="N", type=int, default=50, help="iterations of the job (default 50)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    session = options.out / "session.pyisession"
    try:
        profile(session, options.turns)
    except BenchError as error:
        sys.stderr.write(f"scripts/profile: {error}\n")
        return 1
    samples = Session.load(session)
    text = ConsoleRenderer(processor_options={"show_regex": f".*/trioworker/.*|{ACTOR_FILE}"}).render(samples)
    (options.out / "profile.txt").write_text(text)
    (options.out / "profile.html").write_text(HTMLRenderer().render(samples))
    (options.out / "speedscope.json").write_text(timeline(samples))
    print(text)
    print(actor_shares(samples.frame_records))
    print(f"{options.out}/profile.html: for a browser; {options.out}/speedscope.json: for speedscope.app")
    return 0


def profile(session: Path, turns: int) -> None:
    """Run the job and write the samples to the session file."""
    program = (sys.executable, "-m", "benchmarks.sampled_worker", str(session.absolute()), str(INTERVAL))
    command = (*program, "worker", "--job-id", "{job_id}", "--orchestrator-url", "{url}")
    with tempfile.TemporaryDirectory() as workspace:
        plan = Plan(turns=(Turn(),) * turns, model_seconds=FULL.model_seconds)
        Bench(FULL, Path(workspace), {"profiled": command}).run("profiled", plan)


def timeline(samples: Session) -> str:
    """The samples for speedscope.

    By default pyinstrument hides calls under 1 % of the whole, so each turn of a long job; and it takes the first call
    of the module runner for the program, which is right only where repeated calls are added up.
    """
    renderer = SpeedscopeRenderer(show_all=True)
    renderer.processors.remove(remove_first_pyinstrument_frames_processor)
    return renderer.render(samples)


if __name__ == "__main__":
    sys.exit(main())
