"""Workers that are asked to stop at any moment, whatever their children are like."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from support.deaths import drawn, signalled_at
from support.mortal import mortal_job, mortal_office, side_by_side
from support.promises import broken_promises
from support.world import DONE, calling

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from support.mortal import MortalJob
    from support.program import Ended
    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

RUNS = 50
DISTURBED = 0.1
"""Share of the requests through the proxy that disturbs."""
REQUESTS = 26
"""Requests that a job makes at the least."""
WORKING = 17
"""Requests after which the last of its tools still runs."""
GRACE = 8.0
"""Seconds from the signal to the end at the most: a container gets 10 before SIGKILL."""

LOG = "echo CALL_ID >> log"
HOSTILE = {
    "deaf": "(trap '' TERM; while :; do sleep 0.2; done) & trap '' TERM; {}; sleep 0.3",
    "in a session of its own": "setsid sh -c 'trap \"\" TERM; sleep 300' & {}; sleep 0.3",
    "forked twice": "(setsid sh -c '(setsid sleep 300 &)' &); (env -i setsid sleep 300 &); {}; sleep 0.3",
    "filling the pipe": "yes & {}; yes | head -c 3000000; sleep 0.3",
}
TURNS = (
    *(calling(("shell", {"command": command.format(LOG)}), ("list_dir", {})) for command in HOSTILE.values()),
    DONE,
)
EXITS = {4: "cancelled", 0: "completed"}
"""Stopped, or ended before the signal came; and what the orchestrator is told."""


async def test_a_stopped_worker_reports_and_leaves_nothing(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slowest, codes = 0.0, dict.fromkeys(EXITS, 0)

    async with mortal_office(store, TURNS) as place:

        async def attack(seed: int, rng: random.Random) -> list[str]:
            nonlocal slowest
            disturbed = bool(seed % 2)
            share = DISTURBED if disturbed else 0.0
            async with mortal_job(place, tmp_path / str(seed), seed=seed, share=share) as job:
                # A worker that is stopped while it reports takes that for the answer (contract), which a proxy that
                # loses reports would belie. And a process that starts knows no signals before its first request.
                moment = drawn(rng, WORKING if disturbed else REQUESTS, report=not disturbed, start=False)
                ended, seconds = await signalled_at(job, moment, signal.SIGTERM)
                slowest = max(slowest, seconds)
                codes[ended.code] = codes.get(ended.code, 0) + 1
                return [*_broken(job, ended, seconds), *broken_promises(job)]

        failures = await side_by_side(RUNS, attack)

    with capsys.disabled():
        print(f"\n{RUNS - len(failures)} of {RUNS} SIGTERMs reported, {slowest:.1f} s at the most; exit codes {codes}")
    assert not failures, "\n".join(failures)
    assert codes[4] > RUNS // 2


def _broken(job: MortalJob, ended: Ended, seconds: float) -> Iterator[str]:
    if not seconds < GRACE:
        yield f"it ended {seconds:.1f} s after the signal"
    if ended.code not in EXITS:
        yield f"exit {ended.code}: {ended.err}"
        return
    view = job.store.view(job.id)
    if view is None or view.state != EXITS[ended.code]:
        yield f"exit {ended.code}, and the orchestrator was told {view}"
    if ended.outcome["status"] != EXITS[ended.code]:
        yield f"exit {ended.code}, and the outcome is {ended.outcome}"
