"""Runs the reference job under a plan, one process after another, and records what an observer could see."""

from __future__ import annotations

import importlib
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
from trio.testing import MockClock

from chaos.cancel_injector import CancelInjector
from chaos.disk import Disk, DiskStorage, Killed
from chaos.plan import Cancel, ClockJump, Freeze, Kill, NetworkFault, Outage, Signal, SlowNames, Supersede
from chaos.reference import FOLLOW_UP, FOLLOW_UP_AT, TURNS
from support.tools import Log, Look, Probe
from trioworker import JobOutcome, SupersededError, WorkerError, open_job
from trioworker.protocol import wire
from trioworker.protocol.values import START_HEADER
from trioworker.testing import Exchange, Fault, SimulatedOrchestrator
from trioworker.worker.cancellation import StopRequest
from trioworker.worker.clocks import Moment
from trioworker.worker.state.journal import Journal, check_owner

if TYPE_CHECKING:
    import httpx

    from chaos.plan import Plan, TimedFault
    from trioworker.worker.tools.base import AnyTool

LOOKUP_SECONDS = 5.0
"""Seconds until a resolver gives up on a dead name server and asks the next one (resolv.conf(5), `timeout`)."""
RESTART_DELAY = 2.0
"""Seconds from the kill of a process to the start of the next."""
MAX_STARTS = 12
"""Processes of one run; a plan ends fewer."""
OPENED_AT = 1e9
"""The wall clock when the job starts, in seconds since the epoch."""
TIMEOUT = 590.0
GRACE = 8.0


class PersistentWorld(SimulatedOrchestrator):
    """An orchestrator that outlives the process: its time continues, and a killed process can't reach it."""

    def __init__(self, plan: Plan, disk: Disk) -> None:
        super().__init__(TURNS, latency=0.05, thinking=1.0)
        self.epoch = 0.0
        self._disk = disk
        self.handles_abandoned = True
        self.contacted = trio.Event()
        self._plan = plan
        self._starts: list[str] = []
        self._reporting = False
        self._boots = 0
        self._booted_at = 0.0
        self._network_faults = {fault.number: fault for fault in plan.faults if isinstance(fault, NetworkFault)}
        self._outages = [fault for fault in plan.faults if isinstance(fault, Outage)]
        self.fault = self._choose_fault

    def now(self) -> float:
        """Seconds since the job was started, over all processes."""
        return self.epoch + trio.current_time()

    def clocks(self) -> Moment:
        """What a process reads from its machine's clocks."""
        jumps = sum(fault.seconds for fault in self._plan.all_of(ClockJump) if fault.at <= self.now())
        return Moment(OPENED_AT + self.now() + jumps, f"boot-{self._boots}", self.now() - self._booted_at)

    def reboot(self) -> None:
        """The machine starts again."""
        self._boots += 1
        self._booted_at = self.epoch

    def supersede(self) -> None:
        """Another start asks for the job."""
        self._starts.append("another")

    def is_reporting_in_vain(self) -> bool:
        """Whether a report was sent and not answered, and a fault prevents that it is accepted."""
        return self._reporting and self.asked("complete")[-1].fault is not None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._disk.check_alive()
        self.contacted.set()
        if any(fault.at <= self.now() < fault.at + fault.seconds for fault in self._plan.all_of(SlowNames)):
            await trio.sleep(LOOKUP_SECONDS)
        is_report = request.url.path.endswith("/complete")
        self._reporting = self._reporting or is_report
        try:
            return await super().handle_async_request(request)
        finally:
            self._reporting = self._reporting and not is_report

    def refuse(self, request: httpx.Request, job_id: str) -> tuple[int, bytes] | None:
        """Admit the start that asked last, as the embedded orchestrator does (`orchestrator/starts.py`)."""
        start = request.headers[START_HEADER]
        refusal = super().refuse(request, job_id)
        if refusal is None and request.url.path.endswith("/job") and start not in self._starts:
            self._starts.append(start)
        is_superseded = self._starts and self._starts[-1] != start
        return (409, b"superseded") if is_superseded and (refusal is None or start in self._starts) else refusal

    def _choose_fault(self, exchange: Exchange) -> Fault | None:
        exchange.at = self.now()
        if any(outage.start <= exchange.at < outage.start + outage.seconds for outage in self._outages):
            return Fault(kind="refused")
        fault = self._network_faults.get(len(self.exchanges) - 1)
        if fault is None:
            return None
        final = 400 <= fault.status < 500 and fault.status not in {408, 425, 429}
        # An injected refusal of the report would look like the real one, which means that the report had arrived.
        status = 503 if final and exchange.path == "complete" else fault.status
        return Fault(kind=fault.kind, status=status, delay=400.0)


@dataclass
class Observations:
    """What an observer of a run could see."""

    plan: Plan
    world: PersistentWorld
    log: Log
    disk: Disk
    outcome: JobOutcome | None = None
    error: str = ""
    fired: list[TimedFault] = field(default_factory=list["TimedFault"])
    signalled_at: float | None = None
    signalled_in_vain: bool = False
    was_signalled_last: bool = False
    frozen_at_the_end: bool = False
    starts: int = 0
    ended_at: float = 0.0
    steps: Counter[str] = field(default_factory=Counter[str])
    cancelled: Counter[str] = field(default_factory=Counter[str])
    restarts: Counter[str] = field(default_factory=Counter[str])
    runaway: bool = False
    tasks_left: int = 0


def run_plan(plan: Plan, *, tools: list[AnyTool] | None = None) -> Observations:
    """Run the job, in one process after another, until one isn't killed."""
    disk = Disk()
    disk.kills = [fault for fault in plan.faults if isinstance(fault, Kill)]
    world = PersistentWorld(plan, disk)
    log = Log()
    observed = Observations(plan, world, log, disk)
    while observed.starts < MAX_STARTS:
        observed.starts += 1
        _seed_scheduling(plan.seed + observed.starts)
        if _run_process(observed, tools or [Probe(log), Look(log)]):
            break
        world.epoch += RESTART_DELAY
        if disk.lost_power:
            world.reboot()
        disk.start_process()
    return observed


def _run_process(observed: Observations, tools: list[AnyTool]) -> bool:
    """Run one process. Returns whether it was the last one: it wasn't killed, and no other start had the job."""
    clock = MockClock(autojump_threshold=0)
    cancel_injector = CancelInjector(
        (fault for fault in observed.plan.faults if isinstance(fault, Cancel)), observed.steps
    )
    began = clock.current_time()
    observed.was_signalled_last = False
    observed.world.epoch -= began
    try:
        trio.run(_job, observed, cancel_injector, tools, clock=clock)
    except Killed:
        return False
    except BaseExceptionGroup as group:
        if group.split((Killed, SupersededError))[1] is not None:
            raise
        return False
    finally:
        observed.world.epoch += clock.current_time()
        observed.ended_at = observed.world.epoch
        observed.cancelled += cancel_injector.cancelled
        observed.runaway = observed.runaway or cancel_injector.runaway
        if cancel_injector.job is not None:
            observed.restarts += Counter({name: actor.restarts for name, actor in cancel_injector.job.actors.items()})
    return True


async def _job(observed: Observations, cancel_injector: CancelInjector, tools: list[AnyTool]) -> None:
    world = observed.world
    world.contacted = trio.Event()
    before = trio.lowlevel.current_statistics().tasks_living
    config = world.config(WORKSPACE, timeout=TIMEOUT, grace=GRACE)
    stop = StopRequest()
    try:
        journal = Journal(DiskStorage(observed.disk), bytes(observed.disk.content))
        check_owner(journal, config.job_id)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send_follow_up, world)
            for fault in observed.plan.all_of(Signal, Freeze, Supersede):
                nursery.start_soon(_cause, fault, observed, stop, cancel_injector)
            async with open_job(
                config,
                transport=world,
                tools=tools,
                instruments=[cancel_injector],
                stop=stop,
                rng=random.Random(observed.plan.seed),
                journal=journal,
                clocks=world.clocks,
            ) as job:
                cancel_injector.job = job
                observed.outcome = await job.wait()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        refused, rest = group.split(WorkerError)
        if rest is not None or refused is None or refused.split(SupersededError)[0] is not None:
            raise
        observed.error = str(refused.exceptions[0])
    observed.tasks_left = trio.lowlevel.current_statistics().tasks_living - before


async def _send_follow_up(world: PersistentWorld) -> None:
    # While a thread cleans up after an earlier process, the clock would jump to the time of what is planned.
    await world.contacted.wait()
    if world.now() <= FOLLOW_UP_AT:
        await trio.sleep(FOLLOW_UP_AT - world.now())
        world.prompts.append(wire.Prompt(content=FOLLOW_UP))


async def _cause(fault: TimedFault, observed: Observations, stop: StopRequest, cancel_injector: CancelInjector) -> None:
    """Cause a fault at its time, unless that has passed."""
    world = observed.world
    await world.contacted.wait()
    if fault.at < world.now():
        return
    await trio.sleep(fault.at - world.now())
    running = cancel_injector.job
    observed.fired.append(fault)
    match fault:
        case Signal():
            observed.signalled_at = world.now()
            observed.was_signalled_last = True
            observed.signalled_in_vain = world.is_reporting_in_vain()
            stop.request("stopped by SIGTERM")
        case Freeze(seconds=seconds):
            clock = trio.lowlevel.current_clock()
            assert isinstance(clock, MockClock)
            is_ending = running is not None and running.job.decided is not None
            observed.frozen_at_the_end = observed.frozen_at_the_end or is_ending or stop.reason is not None
            clock.jump(seconds)
        case Supersede():
            world.supersede()


def _seed_scheduling(seed: int) -> None:
    """Make trio's task order depend on the seed. There is no public way; trio's Hypothesis support does the same."""
    internals: Any = importlib.import_module("trio._core._run")
    internals._ALLOW_DETERMINISTIC_SCHEDULING = True
    internals._r.seed(seed)


WORKSPACE = Path("/")
"""The simulated tools use no files, so any directory will do."""
