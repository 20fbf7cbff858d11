"""Signals that reach a worker at a chosen moment of its conversation with the orchestrator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import trio

if TYPE_CHECKING:
    import random
    import signal

    from support.disturbing import Carried, Stage
    from support.mortal import MortalJob
    from support.program import Ended, Program

STARTING = 0.4
"""Seconds in which a worker starts, until its first request."""
LATER = 0.15
"""Seconds at the most from a request to a moment that is no request's: most tools of these tests take about as long."""


@dataclass(frozen=True)
class Moment:
    """`delay` seconds after a request reached a stage: the `number`th of a life, from 1, or a later one; or the report.

    Number 0 is the start of the process. Without a delay, the signal is there before anything else happens to the
    request.
    """

    number: int | Literal["report"]
    stage: Stage = "arrived"
    delay: float = 0.0


def drawn(rng: random.Random, most: int, *, report: bool = True, start: bool = True) -> Moment:
    """A moment until request `most`, drawn by the seed; also of the start or the report."""
    stage: Stage = rng.choice(("arrived", "answered"))
    kind = rng.random()
    if report and kind < 0.15:
        return Moment("report", stage)
    if start and kind < 0.25:
        return Moment(0, delay=rng.uniform(0, STARTING))
    return Moment(rng.randint(1, most), stage, rng.choice((0.0, rng.uniform(0, LATER))))


async def signalled_at(job: MortalJob, moment: Moment, number: signal.Signals) -> tuple[Ended, float]:
    """A life of the job's worker that gets the signal at the moment. How it ended, and how many seconds later.

    A worker that ended before the moment got no signal; the seconds are infinite then.
    """
    async with job.life() as running:
        shot = _Shot(job, moment, running.program, number)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shot.follow)
            ended = await running.ended()
            nursery.cancel_scope.cancel()
    return ended, trio.current_time() - shot.sent_at


class _Shot:
    """Watches the proxy for the moment, and sends the signal."""

    def __init__(self, job: MortalJob, moment: Moment, program: Program, number: signal.Signals) -> None:
        self.sent_at = math.inf
        self._carried = job.proxy.carried
        self._before = len(self._carried)
        self._moment = moment
        self._program = program
        self._number = number
        self._due = trio.Event()
        if moment.number == 0:
            self._due.set()
        job.proxy.watch = self._watch

    async def follow(self) -> None:
        """Send the signal of a moment with a delay."""
        await self._due.wait()
        if self._moment.delay:
            await trio.sleep(self._moment.delay)
            self._send()

    def _watch(self, request: Carried, stage: Stage) -> None:
        if self._due.is_set() or stage != self._moment.stage or not self._reached(request):
            return
        self._due.set()
        if not self._moment.delay:
            self._send()

    def _reached(self, request: Carried) -> bool:
        if self._moment.number == "report":
            return request.path == "complete"
        return len(self._carried) - self._before >= self._moment.number

    def _send(self) -> None:
        self.sent_at = trio.current_time()
        self._program.signal(self._number)
