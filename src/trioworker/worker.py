"""The ways to run a job: as a context that hands out its actors, and as one call."""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import trio

from trioworker.actors.publisher import Events
from trioworker.client import OrchestratorClient
from trioworker.containment.wall import open_wall
from trioworker.errors import ConfigError
from trioworker.first_contact import Stop, begin, first_contact
from trioworker.job import Job
from trioworker.journal_file import open_journal
from trioworker.nurseries import alone
from trioworker.observe.health import open_health
from trioworker.observe.tracing import open_tracer
from trioworker.running import RunningJob
from trioworker.safety.layer import SafetyLayer
from trioworker.safety.secrets import Redactor
from trioworker.services import Services
from trioworker.tools.environment import child_environment
from trioworker.tools.leftovers import end_leftovers
from trioworker.tools.lineage import job_mark
from trioworker.tools.paths import Workspace
from trioworker.tools.registry import BUILTIN_TOOLS, Registry

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable

    import httpx

    from trioworker.cassette.recorder import Recorder
    from trioworker.config import WorkerConfig
    from trioworker.journal import Journal
    from trioworker.outcome import JobOutcome
    from trioworker.tools.base import AnyTool


@asynccontextmanager
async def open_job(
    config: WorkerConfig,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    tools: Iterable[AnyTool] | None = None,
    instruments: Iterable[trio.abc.Instrument] = (),
    rng: random.Random | None = None,
    stop: Stop | None = None,
    journal: Journal | None = None,
    wall_clock: Callable[[], float] = time.time,
) -> AsyncGenerator[RunningJob]:
    """Run a job while the block runs; leaving it early stops the job and reports that.

    Args:
        config: what the job's run depends on.
        transport: in place of real connections.
        tools: in place of the built-in tools.
        instruments: trio instruments, attached while the job runs.
        rng: the source of the jitter between retries, to make a run repeatable.
        stop: a wish to stop that may come before the job is even fetched.
        journal: in place of the one in the configuration's `state_dir`.
        wall_clock: seconds since the epoch, which tell a restart how long ago the job began.

    Raises:
        ConfigError: the workspace is not there, the journal, the trace or the recording can't be used, or commands
            can't be confined as they must.
        RefusedError: the orchestrator doesn't know the job, or refuses the token.
        UnreachableError: it can't be reached.
    """
    began = wall_clock()
    deadline = trio.current_time() + config.timeout
    stop = stop or Stop()
    registry = Registry(BUILTIN_TOOLS if tools is None else tools)
    with (
        _attached(instruments),
        Workspace.open(config.workspace) as workspace,
        open_wall(config) as wall,
        _journal(config, journal) as journal,
        _recorder(config) as recorder,
    ):
        job = Job(journal)
        if journal is not None:
            job.replay(journal.past)
        if job.opened:
            deadline -= max(0.0, began - job.started_at)
            await end_leftovers(job_mark(job.job_id, job.started_at))
        async with (
            open_health(config.health_socket, job, config.job_id) as vitals,
            open_tracer(config) as tracer,
            OrchestratorClient(config, transport=transport, rng=rng, tracer=tracer, tape=recorder) as client,
        ):
            contact = await first_contact(client, job, stop)
            safety = SafetyLayer(Redactor(token=config.token, credentials=(one.value for one in contact.credentials)))
            services = Services(
                config=config,
                client=client,
                registry=registry,
                safety=safety,
                events=Events(safety),
                workspace=workspace,
                environment=child_environment(os.environ, {one.env_var: one.value for one in contact.credentials}),
                wall=wall,
                tracer=tracer,
                tape=recorder,
            )
            if recorder is not None and not contact.over:
                recorder.begin(contact.description, job, safety.redact)
            begin(job, contact, services, now=began)
            running = RunningJob(job, services, deadline=deadline)
            vitals.running = running
            stop.listen(running.signalled)
            with alone():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(running.conduct)
                    try:
                        yield running
                    finally:
                        running.stop("its caller left")


async def run_job(
    config: WorkerConfig,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    tools: Iterable[AnyTool] | None = None,
    instruments: Iterable[trio.abc.Instrument] = (),
    stop: Stop | None = None,
) -> JobOutcome:
    """Run a job to its end. Arguments and errors are those of `open_job`."""
    async with open_job(config, transport=transport, tools=tools, instruments=instruments, stop=stop) as running:
        return await running.wait()


@contextmanager
def _journal(config: WorkerConfig, given: Journal | None) -> Generator[Journal | None]:
    journal = given
    if journal is None and config.state_dir is not None:
        if config.state_dir.resolve().is_relative_to(config.workspace.resolve()):
            raise ConfigError(f"--state-dir: {config.state_dir} is in the workspace, where tools write; choose another")
        journal = open_journal(config.state_dir, config.job_id)
    try:
        yield journal
    finally:
        if journal is not None:
            journal.close()


@contextmanager
def _recorder(config: WorkerConfig) -> Generator[Recorder | None]:
    if config.record is None:
        yield None
        return
    from trioworker.cassette.recorder import open_recorder

    with open_recorder(config, config.record) as recorder:
        yield recorder


@contextmanager
def _attached(instruments: Iterable[trio.abc.Instrument]) -> Generator[None]:
    attached: list[trio.abc.Instrument] = []
    try:
        for instrument in instruments:
            trio.lowlevel.add_instrument(instrument)
            attached.append(instrument)
        yield
    finally:
        for instrument in attached:
            trio.lowlevel.remove_instrument(instrument)
