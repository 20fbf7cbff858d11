"""Workers that are stopped by SIGTERM at a random moment, with processes that resist termination."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from support.process_invariants import process_violations
from support.realjob import real_orchestrator
from support.restartable import restartable_job, run_seeds
from support.timed_signals import draw_moment, run_and_signal
from trioworker.testing import DONE, call, reply

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from support.program import Ended
    from support.restartable import RestartableJob
    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

RUNS = 30
FAULT_RATE = 0.1
"""The rate of faults in requests."""
REQUESTS = 26
"""Requests that a job makes at least."""
REQUESTS_WITH_TOOLS = 17
"""Requests after which a tool is still running."""
GRACE = 8.0
"""Maximum seconds from the signal to the end: a container gets 10 before SIGKILL."""

LOG = "echo CALL_ID >> log"
HOSTILE = {
    "ignoring SIGTERM": "(trap '' TERM; while :; do sleep 0.2; done) & trap '' TERM; {}; sleep 0.3",
    "in a session of its own": "setsid sh -c 'trap \"\" TERM; sleep 300' & {}; sleep 0.3",
    "forked twice": "(setsid sh -c '(setsid sleep 300 &)' &); (env -i setsid sleep 300 &); {}; sleep 0.3",
    "filling the pipe": "yes & {}; yes | head -c 3000000; sleep 0.3",
}
TURNS = (
    *(reply(call("shell", command=command.format(LOG)), call("list_dir")) for command in HOSTILE.values()),
    DONE,
)
EXITS = {4: "cancelled", 0: "completed"}
"""The exit code of a worker that was stopped, or had ended before the signal, and the status that it reports."""


async def test_stopped_worker_reports_and_leaves_no_process(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slowest, codes = 0.0, dict.fromkeys(EXITS, 0)

    async with real_orchestrator(store, TURNS) as orchestrator:

        async def stop_worker(seed: int, rng: random.Random) -> list[str]:
            nonlocal slowest
            has_faults = bool(seed % 2)
            fault_rate = FAULT_RATE if has_faults else 0.0
            async with restartable_job(orchestrator, tmp_path / str(seed), seed=seed, fault_rate=fault_rate) as job:
                # A worker that is stopped while it reports takes the signal for the answer (contract), which is wrong
                # if the proxy loses the report. And a process has no signal handlers before its first request.
                moment = draw_moment(
                    rng, REQUESTS_WITH_TOOLS if has_faults else REQUESTS, report=not has_faults, start=False
                )
                ended, seconds = await run_and_signal(job, moment, signal.SIGTERM)
                slowest = max(slowest, seconds)
                codes[ended.code] = codes.get(ended.code, 0) + 1
                return [*_violations(job, ended, seconds), *process_violations(job)]

        failures = await run_seeds(RUNS, stop_worker)

    with capsys.disabled():
        print(f"\n{RUNS - len(failures)} of {RUNS} SIGTERMs reported, within {slowest:.1f} s; exit codes {codes}")
    assert not failures, "\n".join(failures)
    assert codes[4] > RUNS // 2


def _violations(job: RestartableJob, ended: Ended, seconds: float) -> Iterator[str]:
    if not seconds < GRACE:
        yield f"it ended {seconds:.1f} s after the signal"
    if ended.code not in EXITS:
        yield f"exit {ended.code}: {ended.err}"
        return
    view = job.store.view(job.id)
    if view is None or view.state != EXITS[ended.code]:
        yield f"exit {ended.code}, and the orchestrator has {view}"
    if ended.outcome["status"] != EXITS[ended.code]:
        yield f"exit {ended.code}, and the outcome is {ended.outcome}"
