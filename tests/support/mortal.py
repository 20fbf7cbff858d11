"""A job whose worker may die and is started again, by the same command and through a proxy that sees everything."""

from __future__ import annotations

import os
import random
import secrets
import signal
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from support.disturbing import disturbing_proxy
from support.program import TOKEN_VARIABLE, started, survivors
from support.realjob import MARK, Model, Office, RealJob
from trioworker.protocol.wire import Credential

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from pathlib import Path

    from support.disturbing import DisturbingProxy
    from trioworker.orchestrator.backends.base import LlmRequest
    from trioworker.orchestrator.backends.script import Turn
    from trioworker.orchestrator.store import Store
    from trioworker.protocol.wire import Reply, ToolCall

AT_ONCE = 4
"""Jobs that run side by side: twice the cores of the machine these tests are meant for, since a job also waits."""
CALL_ID = "CALL_ID"
"""Stands for the call's own id in the arguments of a scripted call."""


class NamingModel(Model):
    """Plays turns, and puts each call's id in its arguments, so that an effect tells which call it is of."""

    async def complete(self, request: LlmRequest, /) -> Reply:
        reply = await super().complete(request)
        return msgspec.structs.replace(reply, tool_calls=tuple(map(_named, reply.tool_calls or ())))


class MortalJob:
    """One job. `proxy` is what stands between the orchestrator and the worker, in all of its lives."""

    def __init__(self, place: Office, proxy: DisturbingProxy, folder: Path) -> None:
        self.workspace = folder / "workspace"
        self.workspace.mkdir(parents=True)
        self.state_dir = folder / "state"
        self.proxy = proxy
        self._place = place
        self._mark = secrets.token_hex(16)
        granted = [Credential(env_var=MARK, value=self._mark)]
        job = place.store.create_job("Mend the parser.", title="Mend", credentials=granted)
        self.id, self._token = job.id, job.token

    @asynccontextmanager
    async def life(self, *options: str) -> AsyncGenerator[RealJob]:
        """A worker while the block runs; killed when it is left early. `options` beat ours."""
        command = ("worker", "--job-id", self.id, "--orchestrator-url", self.proxy.url)
        folders = ("--workspace", str(self.workspace), "--state-dir", str(self.state_dir))
        environment = {TOKEN_VARIABLE: self._token}
        async with started(*command, *folders, *options, environment=environment) as program:
            yield RealJob(self._place, program, self.id, self._token, self._mark, self.workspace)

    @property
    def store(self) -> Store:
        return self._place.store

    @property
    def journal(self) -> Path:
        """Where its journal is kept."""
        return self.state_dir / f"{self.id}.journal"

    @property
    def lines(self) -> list[str]:
        """What the job's calls appended to the file `log`."""
        log = self.workspace / "log"
        return log.read_text().splitlines() if log.exists() else []

    def survivors(self) -> dict[int, str]:
        """Processes of the job's tools that are alive."""
        return survivors(self._mark, self.workspace)


@asynccontextmanager
async def mortal_office(store: Store, turns: Sequence[Turn]) -> AsyncGenerator[Office]:
    """An orchestrator whose model plays `turns` for each of its jobs."""
    async with trio.open_nursery() as nursery:
        place = Office(store, NamingModel(turns))
        await nursery.start(place.serve)
        yield place
        place.close()


@asynccontextmanager
async def mortal_job(place: Office, folder: Path, *, seed: int = 0, share: float = 0.0) -> AsyncGenerator[MortalJob]:
    """A job of `place`, of whose requests a `share` is disturbed; what it leaves running is killed in the end."""
    async with disturbing_proxy(place.url, seed=seed, share=share) as proxy:
        job = MortalJob(place, proxy, folder)
        try:
            yield job
        finally:
            # Of a test that failed: what it finds alive must not meet the tests that follow.
            for pid in job.survivors():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


async def side_by_side(count: int, attack: Callable[[int, random.Random], Awaitable[list[str]]]) -> list[str]:
    """Run the attack for each seed, some at once. What did not hold, a line for each seed with everything it broke."""
    limiter = trio.CapacityLimiter(AT_ONCE)
    failures: list[str] = []

    async def one(seed: int) -> None:
        async with limiter:
            broken = await attack(seed, random.Random(seed))
        if broken:
            failures.append(f"seed {seed}: {'; '.join(broken)}")

    async with trio.open_nursery() as nursery:
        for seed in range(count):
            nursery.start_soon(one, seed)
    return failures


def _named(call: ToolCall) -> ToolCall:
    arguments: dict[str, Any] = call.arguments
    return msgspec.structs.replace(
        call, arguments={name: value.replace(CALL_ID, call.id) for name, value in arguments.items()}
    )
