"""Workers that are killed at any moment and started again by the same command, until the job has ended."""

from __future__ import annotations

import json
import signal
from collections import Counter
from typing import TYPE_CHECKING, get_args

import pytest

from support.deaths import drawn, signalled_at
from support.disturbing import Manner
from support.mortal import mortal_job, mortal_office, side_by_side
from support.promises import broken_promises
from support.world import DONE, calling, saying

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from support.program import Ended
    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

RUNS = 50
DISTURBED = 0.12
"""Share of the requests through the proxy that disturbs: four or five in a life."""
REQUESTS = 24
"""Requests that an undisturbed life makes at the least, long before its end."""
DEATHS = (1, 1, 1, 2)
"""How often a worker dies; drawn."""

LOG = "echo CALL_ID >> log; sleep 0.12"
"""An effect that can be counted, and time to die between it and the call's end."""
TURNS = (
    calling(("shell", {"command": LOG}), ("list_dir", {}), content="I look around."),
    # Processes that outlive their call, and would outlive a killed worker: plain, and deaf in a session of its own.
    calling(("shell", {"command": f"sleep 300 & {LOG}"})),
    calling(
        ("shell", {"command": f"(setsid sh -c 'trap \"\" TERM; while :; do sleep 0.2; done' &); {LOG}"}),
        ("write_file", {"path": "notes.txt", "content": "noted"}),
    ),
    saying("Half of it is done."),
    calling(("shell", {"command": f"head -c 300000 /dev/zero | tr '\\0' x; {LOG}"}), ("glob", {"pattern": "*"})),
    # The second field of `call_TURN_CALL` tells which turns had their effect.
    calling(("shell", {"command": "cut -d_ -f2 log | sort -u | tr '\\n' ' '; cat notes.txt"})),
    DONE,
)
ANSWER = "1 2 3 5 noted"


async def test_a_killed_worker_is_resumed_to_the_right_answer(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deaths = 0
    faults: Counter[Manner] = Counter()

    async with mortal_office(store, TURNS) as place:

        async def attack(seed: int, rng: random.Random) -> list[str]:
            nonlocal deaths
            share = DISTURBED if seed % 2 else 0.0
            async with mortal_job(place, tmp_path / str(seed), seed=seed, share=share) as job:
                died = 0
                for _ in range(rng.choice(DEATHS)):
                    ended, _ = await signalled_at(job, drawn(rng, REQUESTS), signal.SIGKILL)
                    if ended.code != -signal.SIGKILL:
                        break
                    died += 1
                else:
                    async with job.life() as running:
                        ended = await running.ended()
                deaths += died
                faults.update(request.manner for request in job.proxy.carried if request.manner)
                return [*_broken(ended, died), *broken_promises(job, deaths=died)]

        failures = await side_by_side(RUNS, attack)

    with capsys.disabled():
        held = RUNS - len(failures)
        print(
            f"\n{held} of {RUNS} jobs resumed to the right answer after {deaths} SIGKILLs and {faults.total()} faults"
        )
    assert not failures, "\n".join(failures)
    assert set(faults) == set(get_args(Manner))


def _broken(ended: Ended, died: int) -> Iterator[str]:
    if not died:
        yield "it ended before it was killed"
    if ended.code != 0:
        yield f"exit {ended.code}: {ended.err}"
    elif json.loads(ended.outcome["message"])["output"] != ANSWER:
        yield f"the wrong answer: {ended.outcome['message']}"
