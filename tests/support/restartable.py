"""A job whose worker may be killed and is started again, by the same command and through a recording proxy."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from support.fault_proxy import fault_proxy
from support.realjob import RealJob

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from support.fault_proxy import FaultProxy
    from support.realjob import RealOrchestrator

CONCURRENT_JOBS = 4
"""Twice the cores of the machine that these tests are meant for: a job also waits."""


class RestartableJob(RealJob):
    """One job in a folder of its own. `proxy` is between the orchestrator and all of the job's workers."""

    def __init__(self, orchestrator: RealOrchestrator, proxy: FaultProxy, folder: Path, *options: str) -> None:
        workspace = folder / "workspace"
        workspace.mkdir(parents=True)
        self.state_dir = folder / "state"
        self.proxy = proxy
        super().__init__(orchestrator, workspace, "--state-dir", str(self.state_dir), *options, url=proxy.url)

    @property
    def journal(self) -> Path:
        """The file of its journal."""
        return self.state_dir / f"{self.id}.journal"

    @property
    def lines(self) -> list[str]:
        """What the job's calls appended to the file `log`."""
        log = self.workspace / "log"
        return log.read_text().splitlines() if log.exists() else []


@asynccontextmanager
async def restartable_job(
    orchestrator: RealOrchestrator, folder: Path, *options: str, seed: int = 0, fault_rate: float = 0.0
) -> AsyncGenerator[RestartableJob]:
    """A new job, with a fault in a `fault_rate` of its requests. `options` are those of each worker."""
    async with fault_proxy(orchestrator.url, seed=seed, fault_rate=fault_rate) as proxy:
        job = RestartableJob(orchestrator, proxy, folder, *options)
        try:
            yield job
        finally:
            job.kill_survivors()


async def run_seeds(count: int, run: Callable[[int, random.Random], Awaitable[list[str]]]) -> list[str]:
    """Run `run` for each seed, some concurrently. Returns a line for each seed that broke an invariant."""
    limiter = trio.CapacityLimiter(CONCURRENT_JOBS)
    failures: list[str] = []

    async def run_one(seed: int) -> None:
        async with limiter:
            broken = await run(seed, random.Random(seed))
        if broken:
            failures.append(f"seed {seed}: {'; '.join(broken)}")

    async with trio.open_nursery() as nursery:
        for seed in range(count):
            nursery.start_soon(run_one, seed)
    return failures
