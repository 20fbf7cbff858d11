"""A simulated orchestrator that outlives the processes of a job, under the faults of a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from trioworker.testing.faults import Fault
from trioworker.testing.simulated_orchestrator import SimulatedOrchestrator
from trioworker.testing.simulation.planned_faults import ClockJump, Outage, SlowNames
from trioworker.worker.clocks import Moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from trioworker.orchestrator.backends.script import Turn
    from trioworker.testing.exchange import Exchange
    from trioworker.testing.simulation.disk import Disk
    from trioworker.testing.simulation.plan import Plan

LOOKUP_SECONDS = 5.0
"""Seconds until a resolver gives up on a dead name server and asks the next one (resolv.conf(5), `timeout`)."""
OPENED_AT = 1e9
"""The wall clock when the job starts, in seconds since the epoch."""
LATENCY = 0.05
"""Seconds of a request's latency."""
THINKING = 1.0
"""Seconds that the model takes for each reply."""
TRANSIENT_4XX = frozenset({408, 425, 429})


def is_final(status: int) -> bool:
    """Whether a status is a refusal that no retry can change (contract, 'HTTP')."""
    return 400 <= status < 500 and status not in TRANSIENT_4XX


def is_refused_by_fault(exchange: Exchange) -> bool:
    """Whether a fault made the answer a refusal that no retry can change.

    Garbage instead of the reason counts, too: the refusal of a superseded start isn't recognized then.
    """
    by_fault = exchange.fault is not None and exchange.fault.kind in {"status", "garbage"}
    return by_fault and exchange.status is not None and is_final(exchange.status)


class PersistentWorld(SimulatedOrchestrator):
    """An orchestrator whose time continues across processes, and which a killed process can't reach.

    Attributes:
        epoch: the seconds that earlier processes took.
        contacted: set by the first request of each process.
        handed_out: when follow-ups were handed out, in seconds after the start of the job, by their content.
    """

    def __init__(self, script: Sequence[Turn], plan: Plan, disk: Disk) -> None:
        super().__init__(script, latency=LATENCY, thinking=THINKING, faults=plan.all_of(Fault))
        self.epoch = 0.0
        self.contacted = trio.Event()
        self.handed_out: dict[str, float] = {}
        self._disk = disk
        self._reporting = False
        self._boots = 0
        self._booted_at = 0.0
        self._outages = plan.all_of(Outage)
        self._slow_names = plan.all_of(SlowNames)
        self._clock_jumps = plan.all_of(ClockJump)

    def now(self) -> float:
        """Seconds since the job was started, over all processes."""
        return self.epoch + trio.current_time()

    def clocks(self) -> Moment:
        """What a process reads from its machine's clocks."""
        jumps = sum(fault.seconds for fault in self._clock_jumps if fault.at <= self.now())
        return Moment(OPENED_AT + self.now() + jumps, f"boot-{self._boots}", self.now() - self._booted_at)

    def reboot(self) -> None:
        """The machine starts again."""
        self._boots += 1
        self._booted_at = self.epoch

    def is_reporting_in_vain(self) -> bool:
        """Whether a report was sent but not answered yet, and has a fault."""
        return self._reporting and self.asked("complete")[-1].fault is not None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of the worker, unless a fault prevents that."""
        self._disk.check_alive()
        self.contacted.set()
        if any(fault.at <= self.now() < fault.at + fault.seconds for fault in self._slow_names):
            await trio.sleep(LOOKUP_SECONDS)
        is_report = request.url.path.endswith("/complete")
        self._reporting = self._reporting or is_report
        waiting = list(self.prompts)
        try:
            return await super().handle_async_request(request)
        finally:
            self._reporting = self._reporting and not is_report
            for prompt in waiting:
                if prompt not in self.prompts:
                    self.handed_out.setdefault(prompt.content, self.now())

    def _choose_fault(self, exchange: Exchange) -> Fault | None:
        exchange.at = self.now()
        if any(outage.at <= exchange.at < outage.at + outage.seconds for outage in self._outages):
            return Fault.refused()
        fault = super()._choose_fault(exchange)
        if fault is not None and is_final(fault.code) and exchange.path == "complete":
            # The worker would take an injected refusal for a real one, which means that an earlier report arrived.
            return replace(fault, code=503)
        return fault
