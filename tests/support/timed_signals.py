"""Signals that reach a worker at a chosen moment of its exchange with the orchestrator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import trio

if TYPE_CHECKING:
    import random
    import signal

    from support.fault_proxy import ProxiedRequest, Stage
    from support.program import Ended, Program
    from support.restartable import RestartableJob

STARTUP = 0.4
"""Seconds from the start of a worker to its first request, about."""
MAX_DELAY = 0.15
"""Seconds from a request to a moment between two requests: most tools of these tests take about as long."""


@dataclass(frozen=True)
class Moment:
    """`delay` seconds after a request reached a stage.

    `number` counts the requests of one worker from 1, and a later request counts too; 0 is the start of the process.
    Without a delay, the signal is sent before anything else happens to the request.
    """

    number: int | Literal["report"]
    stage: Stage = "arrived"
    delay: float = 0.0


def draw_moment(rng: random.Random, last: int, *, report: bool = True, start: bool = True) -> Moment:
    """A random moment up to request `last`, or at the start or the report if these are allowed."""
    stage: Stage = rng.choice(("arrived", "answered"))
    kind = rng.random()
    if report and kind < 0.15:
        return Moment("report", stage)
    if start and kind < 0.25:
        return Moment(0, delay=rng.uniform(0, STARTUP))
    return Moment(rng.randint(1, last), stage, rng.choice((0.0, rng.uniform(0, MAX_DELAY))))


async def run_and_signal(job: RestartableJob, moment: Moment, number: signal.Signals) -> tuple[Ended, float]:
    """Run a worker and send it the signal at the moment. Returns how it ended, and how many seconds after the signal.

    A worker that ended before the moment got no signal; the seconds are infinite then.
    """
    async with job.start() as worker:
        sender = _Sender(job, moment, worker, number)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.send_delayed)
            ended = await worker.ended()
            nursery.cancel_scope.cancel()
    return ended, trio.current_time() - sender.sent_at


class _Sender:
    """Watches the proxy for the moment, and sends the signal."""

    def __init__(self, job: RestartableJob, moment: Moment, worker: Program, number: signal.Signals) -> None:
        self.sent_at = math.inf
        self._requests = job.proxy.requests
        self._before = len(self._requests)
        self._moment = moment
        self._worker = worker
        self._number = number
        self._reached = trio.Event()
        if moment.number == 0:
            self._reached.set()
        job.proxy.watch = self._watch

    async def send_delayed(self) -> None:
        """Send the signal of a moment with a delay."""
        await self._reached.wait()
        if self._moment.delay:
            await trio.sleep(self._moment.delay)
            self._send()

    def _watch(self, request: ProxiedRequest, stage: Stage) -> None:
        if self._reached.is_set() or stage != self._moment.stage or not self._is_due(request):
            return
        self._reached.set()
        if not self._moment.delay:
            self._send()

    def _is_due(self, request: ProxiedRequest) -> bool:
        if self._moment.number == "report":
            return request.path == "complete"
        return len(self._requests) - self._before >= self._moment.number

    def _send(self) -> None:
        self.sent_at = trio.current_time()
        self._worker.signal(self._number)
