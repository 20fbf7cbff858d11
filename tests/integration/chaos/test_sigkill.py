"""Workers that are killed at a random moment and started again by the same command, until the job has ended."""

from __future__ import annotations

import signal
from collections import Counter
from typing import TYPE_CHECKING, get_args

import pytest

from support.fault_proxy import ProxyFault
from support.process_invariants import process_violations
from support.realjob import real_orchestrator
from support.restartable import restartable_job, run_seeds
from support.timed_signals import draw_moment, run_and_signal
from trioworker.testing import call, reply, say

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from support.program import Ended
    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

RUNS = 20
FAULT_RATE = 0.12
"""The rate of faults in requests: four or five in a worker's run."""
REQUESTS = 24
"""Requests that a worker makes at least, without faults."""
KILLS = (1, 1, 1, 2)
"""How often a job's worker is killed, to choose from."""

LOG = "echo CALL_ID >> log; sleep 0.12"
"""An effect that can be counted, and time for a kill between it and the end of the call."""
TURNS = (
    reply(call("shell", command=LOG), call("list_dir"), text="Looking around."),
    # Processes that outlive their call, and could outlive a killed worker; one ignores SIGTERM in a session of its own.
    call("shell", command=f"sleep 300 & {LOG}"),
    reply(
        call("shell", command=f"(setsid sh -c 'trap \"\" TERM; while :; do sleep 0.2; done' &); {LOG}"),
        call("write_file", path="notes.txt", content="noted"),
    ),
    say("Half of it is done."),
    reply(call("shell", command=f"head -c 300000 /dev/zero | tr '\\0' x; {LOG}"), call("glob", pattern="*")),
    # The second field of `call_TURN_CALL` is the turn that had its effect.
    call("shell", command="cut -d_ -f2 log | sort -u | tr '\\n' ' '; cat notes.txt"),
    say("The job is complete."),
)
ANSWER = "1 2 3 5 noted"


async def test_killed_worker_is_resumed_to_the_right_answer(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kills = 0
    faults: Counter[ProxyFault] = Counter()

    async with real_orchestrator(store, TURNS) as orchestrator:

        async def kill_and_resume(seed: int, rng: random.Random) -> list[str]:
            nonlocal kills
            fault_rate = FAULT_RATE if seed % 2 else 0.0
            async with restartable_job(orchestrator, tmp_path / str(seed), seed=seed, fault_rate=fault_rate) as job:
                killed = 0
                for _ in range(rng.choice(KILLS)):
                    ended, _ = await run_and_signal(job, draw_moment(rng, REQUESTS), signal.SIGKILL)
                    if ended.code != -signal.SIGKILL:
                        break
                    killed += 1
                else:
                    async with job.start() as worker:
                        ended = await worker.ended()
                kills += killed
                faults.update(request.fault for request in job.proxy.requests if request.fault)
                return [*_violations(ended, killed), *process_violations(job, kills=killed)]

        failures = await run_seeds(RUNS, kill_and_resume)

    with capsys.disabled():
        held = RUNS - len(failures)
        print(f"\n{held} of {RUNS} jobs resumed to the right answer after {kills} SIGKILLs and {faults.total()} faults")
    assert not failures, "\n".join(failures)
    assert set(faults) == set(get_args(ProxyFault))


def _violations(ended: Ended, killed: int) -> Iterator[str]:
    if not killed:
        yield "it ended before it was killed"
    if ended.code != 0:
        yield f"exit {ended.code}: {ended.err}"
    elif ended.outcome["message"] != ANSWER:
        yield f"the wrong answer: {ended.outcome['message']}"
