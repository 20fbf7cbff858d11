"""The worker as a program: its log, the signals that stop it, its result on stdout, and its exit code."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import msgspec
import trio
from loguru import logger

from trioworker.errors import ReleasedError, WorkerError
from trioworker.observability.instrument import load_instrument
from trioworker.observability.logging import LogFormat, LogLevel, Logs
from trioworker.observability.sdk_log import forward_sdk_log
from trioworker.protocol.ascii_json import ascii_json
from trioworker.protocol.exit_codes import UNREPORTED
from trioworker.supervision.catch_up_clock import CatchUpClock
from trioworker.supervision.nurseries import unwrap_single_exception
from trioworker.supervision.stop_signals import open_stop_receiver, signal_name
from trioworker.worker.api import open_job
from trioworker.worker.cancellation import StopRequest
from trioworker.worker.child_process import RELEASE_SIGNAL
from trioworker.worker.processes.environment import forget_token
from trioworker.worker.redaction.secrets import Redactor
from trioworker.worker.tools.own_tools import load_tools
from trioworker.worker.tools.registry import BUILTIN_TOOLS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractContextManager

    from trioworker.worker.config import WorkerConfig
    from trioworker.worker.lifecycle import RunningJob
    from trioworker.worker.outcome import JobOutcome
    from trioworker.worker.recording_hooks import RecordingHooks
    from trioworker.worker.tools.base import AnyTool


THREAD_SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that holds the interpreter lets another one run; the default is 5 ms."""


def run_program(
    config: WorkerConfig,
    *,
    level: LogLevel,
    form: LogFormat,
    instrument: str | None,
    tools: Sequence[str] = (),
    recording: AbstractContextManager[RecordingHooks | None],
    attachable: bool = False,
    suspend_on_sigterm: bool = False,
) -> int:
    """Run a job and return the exit code.

    Args:
        config: the job's configuration.
        level: the minimum log level.
        form: the format of the log.
        instrument: a trio instrument to attach, as `MODULE:NAME`.
        tools: tools in addition to the built-in ones, each as `MODULE:NAME`.
        recording: the recorder of the job, opened for as long as the job runs.
        attachable: let profilers of the same user attach.
        suspend_on_sigterm: on SIGTERM, end without a report instead of reporting the job as stopped.

    Raises:
        WorkerError: those of `open_job`, `ReleasedError` if the job was suspended or released, and `ConfigError` for
            an unusable instrument or tool.
    """
    redactor = Redactor(token=config.token)
    logs = Logs(level, form, lambda text: redactor.redact(text).text)
    forward_sdk_log()
    forget_token(attachable=attachable)
    # A tool's thread hands its result over within this time while the event loop is busy.
    sys.setswitchinterval(THREAD_SWITCH_INTERVAL)

    def started(running: RunningJob) -> None:
        logs.redact = running.services.safety.redact
        logger.info("job {}: {}", config.job_id, running.job.title)
        if attachable:
            logger.warning("--attachable: {}", _exposure(running))

    try:
        # Attached for the whole of trio.run, so that it sees the run start and end.
        instruments = [load_instrument(instrument, config.workspace)] if instrument else []
        all_tools = (*BUILTIN_TOOLS, *load_tools(tools, config.workspace))
        with recording as recorder:
            outcome = trio.run(
                _run_until_signalled,
                config,
                all_tools,
                recorder,
                started,
                suspend_on_sigterm,
                clock=CatchUpClock(),
                instruments=instruments,
            )
    except WorkerError:
        raise
    except Exception as error:  # a defect of ours: the job's end was not reported
        logger.opt(exception=error).critical("job {}: a defect of the worker ended it", config.job_id)
        return UNREPORTED
    logger.info("job {}: {}", config.job_id, outcome.status)
    print(ascii_json(msgspec.to_builtins(outcome)), flush=True)
    return outcome.exit_code


def _exposure(running: RunningJob) -> str:
    """Who can read the memory of an attachable worker: a process under Landlock can trace only those in its domain."""
    exposed = "can read this worker's memory, with the job's token and credentials"
    if running.services.sandbox.landlock:
        return f"other programs of this user {exposed}; the job's commands, which are in the sandbox, can't"
    return f"all programs of this user {exposed}, and so can the job's commands, because there is no Landlock"


async def _run_until_signalled(
    config: WorkerConfig,
    tools: Sequence[AnyTool],
    recorder: RecordingHooks | None,
    started: Callable[[RunningJob], None],
    suspend_on_sigterm: bool,
) -> JobOutcome:
    """Run a job to its end; a signal stops it. `started` is called once the job was fetched.

    Raises:
        ReleasedError: on `RELEASE_SIGNAL`, or if SIGTERM suspended the job.
    """
    stop = StopRequest()
    opened: list[RunningJob] = []

    async def forward(signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number == RELEASE_SIGNAL:
                _release(opened)
                continue
            name = signal_name(number)
            logger.info("{} received", name)
            if number == signal.SIGTERM and suspend_on_sigterm:
                stop.suspend(f"suspended by {name}")
            else:
                stop.request(f"stopped by {name}")

    with open_stop_receiver() as signals, unwrap_single_exception():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(forward, signals)
            async with open_job(config, tools=tools, stop=stop, recorder=recorder) as running:
                opened.append(running)
                started(running)
                outcome = await running.wait()
            nursery.cancel_scope.cancel()
    return outcome


def _release(opened: list[RunningJob]) -> None:
    """End the job without a report; before it was fetched, cancel that."""
    error = ReleasedError(
        "the program that started this worker has ended; its job was not reported, and can be resumed"
    )
    if not opened:
        raise error
    opened[0].release(error)
