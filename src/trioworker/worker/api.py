"""Two ways to run a job: as a context manager that exposes its actors, and as one call."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import trio

from trioworker.observability.default_log import disable_log
from trioworker.observability.health_server import serve_health
from trioworker.observability.tracing import open_tracer
from trioworker.protocol.limits import MAX_TOOL_THREADS
from trioworker.supervision.nurseries import unwrap_single_exception
from trioworker.worker.bootstrap import bootstrap, open_or_resume
from trioworker.worker.cancellation import StopRequest
from trioworker.worker.client.orchestrator_client import OrchestratorClient
from trioworker.worker.clocks import elapsed, read_clocks
from trioworker.worker.health_state import HealthState
from trioworker.worker.lifecycle import ACTORS, RunningJob
from trioworker.worker.processes.cache_folders import with_writable_caches
from trioworker.worker.processes.environment import child_environment
from trioworker.worker.processes.orphans import terminate_orphans
from trioworker.worker.processes.ownership import job_mark
from trioworker.worker.processes.sandbox.sandbox import open_sandbox
from trioworker.worker.processes.sandbox.writable_paths import in_container, is_within, writable_paths
from trioworker.worker.recording_hooks import GuardedRecorder
from trioworker.worker.redaction.safe_errors import HiddenValues, SafeErrors
from trioworker.worker.redaction.safety_layer import SafetyLayer
from trioworker.worker.redaction.secrets import Redactor
from trioworker.worker.services import Services
from trioworker.worker.state.events import Events
from trioworker.worker.state.job import Job
from trioworker.worker.state.journal_file import check_state_dir, open_journal
from trioworker.worker.tools.kept_outputs import KeptOutputs
from trioworker.worker.tools.registry import BUILTIN_TOOLS, Registry
from trioworker.worker.tools.temporary_files import remove_temporary_files
from trioworker.worker.tools.workspace import Workspace

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping

    import httpx

    from trioworker.observability.finished_spans import FinishedSpan
    from trioworker.observability.recording import RecordingTracer
    from trioworker.worker.bootstrap import FetchedJob
    from trioworker.worker.clocks import Moment
    from trioworker.worker.config import WorkerConfig
    from trioworker.worker.outcome import JobOutcome
    from trioworker.worker.processes.sandbox.sandbox import Sandbox
    from trioworker.worker.recording_hooks import RecordingHooks
    from trioworker.worker.state.journal import Journal
    from trioworker.worker.tools.base import AnyTool

disable_log()


@asynccontextmanager
async def open_job(
    config: WorkerConfig,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    tools: Iterable[AnyTool] | None = None,
    instruments: Iterable[trio.abc.Instrument] = (),
    rng: random.Random | None = None,
    stop: StopRequest | None = None,
    journal: Journal | None = None,
    recorder: RecordingHooks | None = None,
    on_span: Callable[[FinishedSpan], object] | None = None,
    clocks: Callable[[], Moment] = read_clocks,
    machine: str | None = None,
    extra_time: float = 0.0,
) -> AsyncGenerator[RunningJob]:
    """Run a job while the block runs; leaving it early stops the job and reports that.

    For the order of set-up, see `docs/architecture.md`: local resources that may be unusable come first, so that
    nothing is requested for a job that can't run; then observers; then the orchestrator.

    Args:
        config: the job's configuration.
        transport: in place of real connections.
        tools: in place of the built-in tools; `[*BUILTIN_TOOLS, mine]` adds one to them. Jobs may share instances.
        instruments: trio instruments, attached while the job runs.
        rng: the source of the jitter between retries, to make a run repeatable.
        stop: a request to stop that may come before the job is fetched.
        journal: in place of the one in the configuration's `state_dir`.
        recorder: records the job, such as `trioworker.cassette.open_recorder`.
        on_span: called in the event loop with each finished span, so it must be fast. If it raises, that is logged,
            and it isn't called again.
        clocks: reads the clocks that tell a restart how long ago the job was opened.
        machine: the text about the machine and the limits in the system message, in place of this machine's.
        extra_time: seconds that the job may take beyond the time limit that the model sees.

    Raises:
        ConfigError: the workspace doesn't exist, the journal, the trace or a tool can't be used, or the required
            sandbox is unavailable.
        RefusedError: the orchestrator doesn't know the job, or refuses the token.
        UnreachableError: it can't be reached.
        TypeError: `on_span` is an async function.
    """
    redact = SafetyLayer(Redactor(token=config.token)).redact
    recorder = None if recorder is None else GuardedRecorder(recorder)
    now = clocks()
    deadline = trio.current_time() + config.timeout
    stop = stop or StopRequest()
    registry = Registry(BUILTIN_TOOLS if tools is None else tools)
    with _attached(instruments), _local_resources(config, journal) as local:
        job = await _replayed(local)
        if job.opened:
            since = job.opened_at if config.time_from is None else now.at(config.time_from)
            deadline -= elapsed(since, now, limit=config.timeout)
        async with (
            _observed(config, job, redact, on_span) as (health, tracer),
            _client(config, transport, rng, tracer, recorder, redact) as client,
        ):
            with SafeErrors(redact):
                fetched = await bootstrap(client, job, stop)
            services = _services(config, local, client, registry, tracer, recorder, fetched)
            if recorder is not None and not fetched.has_ended:
                recorder.job_fetched(fetched.description, job, services.safety.redact)
            open_or_resume(job, fetched, services, now=now, machine=machine)
            tracer.watch(("outbox", "follow-ups waiting", "calls to answer"), job.queue_lengths)
            running = health.running = RunningJob(job, services, deadline=deadline, extra_time=extra_time)
            stop.pass_to(running)
            with unwrap_single_exception():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(running.run)
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
    stop: StopRequest | None = None,
    recorder: RecordingHooks | None = None,
    on_span: Callable[[FinishedSpan], object] | None = None,
) -> JobOutcome:
    """Run a job to its end. Arguments and errors are those of `open_job`."""
    async with open_job(
        config,
        transport=transport,
        tools=tools,
        instruments=instruments,
        stop=stop,
        recorder=recorder,
        on_span=on_span,
    ) as running:
        return await running.wait()


class _LocalResources(NamedTuple):
    """What a job needs from its machine."""

    workspace: Workspace
    outputs: KeptOutputs
    sandbox: Sandbox
    journal: Journal | None


@contextmanager
def _attached(instruments: Iterable[trio.abc.Instrument]) -> Generator[None]:
    """Step 1: the instruments, which see everything that follows."""
    try:
        users = _instrument_users.get()
    except LookupError:
        _instrument_users.set(users := Counter())
    attached: list[trio.abc.Instrument] = []
    try:
        for instrument in instruments:
            trio.lowlevel.add_instrument(instrument)
            users[instrument] += 1
            attached.append(instrument)
        yield
    finally:
        for instrument in attached:
            users[instrument] -= 1
            if not users[instrument]:
                # trio has removed an instrument whose hook raised.
                with suppress(KeyError):
                    trio.lowlevel.remove_instrument(instrument)


_instrument_users: trio.lowlevel.RunVar[Counter[trio.abc.Instrument]] = trio.lowlevel.RunVar("instrument_users")
"""How many overlapping jobs of a run have attached an instrument: trio attaches it once."""


@contextmanager
def _local_resources(config: WorkerConfig, given: Journal | None) -> Generator[_LocalResources]:
    """Step 2: the workspace, the folder of outputs, the sandbox and the journal."""
    with (
        Workspace.open(config.workspace, job_id=config.job_id) as workspace,
        KeptOutputs(config.job_id, workspace) as outputs,
        open_sandbox(config) as sandbox,
    ):
        journal = given
        if journal is None and config.state_dir is not None:
            check_state_dir(config.state_dir, config.workspace)
            journal = open_journal(config.state_dir, config.job_id)
        try:
            yield _LocalResources(workspace, outputs, sandbox, journal)
        finally:
            if journal is not None:
                journal.close()


async def _replayed(local: _LocalResources) -> Job:
    """Step 3: the job, as an earlier worker left it in the journal; its processes and temporary files are removed."""
    job = Job(local.journal)
    if local.journal is not None:
        job.replay(local.journal.past)
    if job.opened:
        await terminate_orphans(job_mark(job.job_id, job.started_at))
        interrupted = [call.planned.arguments for call in job.turn if call.started and not call.ended]
        await trio.to_thread.run_sync(remove_temporary_files, local.workspace, interrupted)
    return job


@asynccontextmanager
async def _observed(
    config: WorkerConfig, job: Job, redact: Callable[[str], str], on_span: Callable[[FinishedSpan], object] | None
) -> AsyncGenerator[tuple[HealthState, RecordingTracer]]:
    """Step 4: the health socket and the tracer, which see the requests that follow."""
    health = HealthState(job, config.job_id)
    async with (
        serve_health(config.health_socket, health.read, ACTORS),
        open_tracer(config.trace, config.job_id, redact, on_span) as tracer,
    ):
        yield health, tracer


def _client(
    config: WorkerConfig,
    transport: httpx.AsyncBaseTransport | None,
    rng: random.Random | None,
    tracer: RecordingTracer,
    recorder: RecordingHooks | None,
    redact: Callable[[str], str],
) -> OrchestratorClient:
    """Step 5: the client of the orchestrator."""
    with SafeErrors(redact):
        return OrchestratorClient(config, transport=transport, rng=rng, tracer=tracer, recorder=recorder)


def _services(
    config: WorkerConfig,
    local: _LocalResources,
    client: OrchestratorClient,
    registry: Registry,
    tracer: RecordingTracer,
    recorder: RecordingHooks | None,
    fetched: FetchedJob,
) -> Services:
    """Step 6, after the job was fetched: what needs its credentials."""
    safety = SafetyLayer(Redactor(token=config.token, credentials=(one.value for one in fetched.credentials)))
    tracer.redact_with(safety.redact)
    return Services(
        config=config,
        client=client,
        registry=registry,
        safety=safety,
        events=Events(safety),
        workspace=local.workspace,
        outputs=local.outputs,
        environment=HiddenValues(_tools_environment(config, local.sandbox, safety, fetched)),
        sandbox=local.sandbox,
        tool_threads=trio.CapacityLimiter(MAX_TOOL_THREADS),
        tracer=tracer,
        recorder=recorder,
    )


def _tools_environment(
    config: WorkerConfig, sandbox: Sandbox, safety: SafetyLayer, fetched: FetchedJob
) -> Mapping[str, str]:
    contained = in_container()
    environment = child_environment(
        os.environ,
        {one.env_var: one.value for one in fetched.credentials},
        contained=contained,
        pass_env=config.pass_env or (),
        holds_secret=lambda value: safety.redact(value) != value,
    )
    if not sandbox.landlock:
        return with_writable_caches(environment, lambda _: True)
    places = writable_paths(
        config.workspace, environment, state_dir=config.state_dir, more=config.allow_write or (), contained=contained
    )
    return with_writable_caches(environment, lambda path: is_within(path, places))
