"""Runs the reference job under a plan, life after life, and keeps what an observer could see."""

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
from chaos.disk import Death, Disk, DiskStorage, Killed
from chaos.plan import Cancel, Disturb, Kill, Outage
from chaos.reference import FOLLOW_UP, FOLLOW_UP_AT, TURNS
from support.tools import Log, Look, Probe
from support.world import Exchange, Fault, World
from trioworker import JobOutcome, WorkerError, open_job
from trioworker.protocol import wire
from trioworker.worker.state.journal import Journal, check_owner

if TYPE_CHECKING:
    import httpx

    from chaos.plan import Plan
    from trioworker.worker.tools.base import AnyTool

RESTART_DELAY = 2.0
"""Seconds from a process's death to the start of the next."""
MAX_LIVES = 12
"""Lives of the process; a plan kills it fewer times."""
TIMEOUT = 590.0
GRACE = 8.0


class ShiftedWorld(World):
    """A world that outlives the process: its time goes on, and a dead process can't speak to it."""

    def __init__(self, plan: Plan, disk: Disk) -> None:
        super().__init__(TURNS, latency=0.05, thinking=1.0)
        self.epoch = 0.0
        self._disk = disk
        self._disturbed = {attack.number: attack for attack in plan.attacks if isinstance(attack, Disturb)}
        self._outages = [attack for attack in plan.attacks if isinstance(attack, Outage)]
        self.fault = self._disturb

    def now(self) -> float:
        """Seconds since the job began, over all lives."""
        return self.epoch + trio.current_time()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._disk.check_alive()
        return await super().handle_async_request(request)

    def _disturb(self, exchange: Exchange) -> Fault | None:
        exchange.at = self.now()
        if any(outage.start <= exchange.at < outage.start + outage.seconds for outage in self._outages):
            return Fault(kind="refused")
        attack = self._disturbed.get(len(self.exchanges) - 1)
        if attack is None:
            return None
        final = 400 <= attack.status < 500 and attack.status not in {408, 425, 429}
        # A made-up refusal of the report can't be told from the real one, which means that it had arrived.
        status = 503 if final and exchange.path == "complete" else attack.status
        return Fault(kind=attack.kind, status=status, delay=400.0)


@dataclass
class Evidence:
    """All that an observer of a run could see."""

    plan: Plan
    world: ShiftedWorld
    log: Log
    disk: Disk
    outcome: JobOutcome | None = None
    error: str = ""
    lives: int = 0
    ended_at: float = 0.0
    steps: Counter[str] = field(default_factory=Counter[str])
    cancelled: Counter[str] = field(default_factory=Counter[str])
    restarts: Counter[str] = field(default_factory=Counter[str])
    runaway: bool = False
    tasks_left: int = 0
    started_calls: list[str] = field(default_factory=list[str])


def run_plan(plan: Plan, *, tools: list[AnyTool] | None = None) -> Evidence:
    """Run the job until a process ends by itself."""
    disk = Disk()
    disk.deaths = [Death(kill.write, kill.percent, kill.power) for kill in plan.attacks if isinstance(kill, Kill)]
    world = ShiftedWorld(plan, disk)
    log = Log()
    evidence = Evidence(plan, world, log, disk)
    while evidence.lives < MAX_LIVES:
        evidence.lives += 1
        _seed_scheduling(plan.seed + evidence.lives)
        if _live(evidence, tools or [Probe(log), Look(log)]):
            break
        world.epoch += RESTART_DELAY
        disk.revive()
    return evidence


def _live(evidence: Evidence, tools: list[AnyTool]) -> bool:
    """One process. Whether it ended by itself."""
    clock = MockClock(autojump_threshold=0)
    cancel_injector = CancelInjector(
        (attack for attack in evidence.plan.attacks if isinstance(attack, Cancel)), evidence.steps
    )
    began = clock.current_time()
    evidence.world.epoch -= began
    try:
        trio.run(_job, evidence, cancel_injector, tools, clock=clock)
    except Killed:
        return False
    except BaseExceptionGroup as group:
        if group.split(Killed)[1] is not None:
            raise
        return False
    finally:
        evidence.world.epoch += clock.current_time()
        evidence.ended_at = evidence.world.epoch
        evidence.cancelled += cancel_injector.cancelled
        evidence.runaway = evidence.runaway or cancel_injector.runaway
        if cancel_injector.job is not None:
            evidence.restarts += Counter({name: actor.restarts for name, actor in cancel_injector.job.actors.items()})
    return True


async def _job(evidence: Evidence, cancel_injector: CancelInjector, tools: list[AnyTool]) -> None:
    world = evidence.world
    before = trio.lowlevel.current_statistics().tasks_living
    config = world.config(WORKSPACE, timeout=TIMEOUT, grace=GRACE)
    try:
        journal = Journal(DiskStorage(evidence.disk), bytes(evidence.disk.content))
        check_owner(journal, config.job_id)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send_follow_up, world)
            async with open_job(
                config,
                transport=world,
                tools=tools,
                instruments=[cancel_injector],
                rng=random.Random(evidence.plan.seed),
                journal=journal,
                wall_clock=world.now,
            ) as job:
                cancel_injector.job = job
                evidence.outcome = await job.wait()
            nursery.cancel_scope.cancel()
    except WorkerError as error:
        evidence.error = str(error)
    except BaseExceptionGroup as group:
        refused, rest = group.split(WorkerError)
        if rest is not None or refused is None:
            raise
        evidence.error = str(refused.exceptions[0])
    evidence.tasks_left = trio.lowlevel.current_statistics().tasks_living - before


async def _send_follow_up(world: ShiftedWorld) -> None:
    if world.now() <= FOLLOW_UP_AT:
        await trio.sleep(FOLLOW_UP_AT - world.now())
        world.prompts.append(wire.Prompt(content=FOLLOW_UP))


def _seed_scheduling(seed: int) -> None:
    """Make trio run tasks in an order that the seed decides. There is no public way; trio's own Hypothesis support does
    the same.
    """
    internals: Any = importlib.import_module("trio._core._run")
    internals._ALLOW_DETERMINISTIC_SCHEDULING = True
    internals._r.seed(seed)


WORKSPACE = Path("/")
"""The simulated tools touch no file; any folder does."""
