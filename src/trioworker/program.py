"""The worker as a program: its log, the signals that stop it, its result on stdout and its exit code."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import msgspec
import trio
from loguru import logger

from trioworker.errors import OrchestratorError, WorkerError
from trioworker.exits import BAD_USAGE, FAILED, NO_ORCHESTRATOR, STOPPED, SUCCEEDED, UNREPORTED, tell
from trioworker.first_contact import Stop
from trioworker.nurseries import alone
from trioworker.observe.instrument import load_instrument
from trioworker.observe.logging import LogFormat, LogLevel, Logs
from trioworker.safety.secrets import Redactor
from trioworker.tools.environment import forget_token
from trioworker.worker import open_job

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from trioworker.config import WorkerConfig
    from trioworker.outcome import JobOutcome
    from trioworker.running import RunningJob


THREAD_SWITCH = 0.0005
"""Seconds after which a thread that holds the interpreter lets another one go on."""


def run_program(
    config: WorkerConfig, level: LogLevel, form: LogFormat, early: Iterable[int], instrument: str | None
) -> int:
    """Run a job and return the exit code; `early` are signals that came before, `instrument` is `MODULE:NAME`."""
    redactor = Redactor(token=config.token)
    logs = Logs(level, form, lambda text: redactor.redact(text).text)
    forget_token()
    # A tool's thread hands its result over within this, instead of the default 5 ms, while the loop is busy.
    sys.setswitchinterval(THREAD_SWITCH)

    def started(running: RunningJob) -> None:
        logs.redact = running.services.safety.redact
        logger.info("job {}: {}", config.job_id, running.job.title)

    try:
        # For the whole of trio's run, whose begin and end it may want to hear of.
        instruments = [load_instrument(instrument)] if instrument else []
        outcome = trio.run(_run_until_signalled, config, started, early, instruments=instruments)
    except OrchestratorError as error:
        return tell(error, NO_ORCHESTRATOR)
    except WorkerError as error:
        return tell(error, BAD_USAGE)
    except Exception as error:  # a defect of ours; whatever it is, the job's end was not told
        logger.opt(exception=error).critical("job {}: a defect of the worker ended it", config.job_id)
        return UNREPORTED
    logger.info("job {}: {}", config.job_id, outcome.status)
    _print_result(msgspec.json.encode(outcome).decode())
    return exit_code(outcome)


async def _run_until_signalled(
    config: WorkerConfig, started: Callable[[RunningJob], None], early: Iterable[int]
) -> JobOutcome:
    """Run a job to its end as a program of its own: SIGTERM and SIGINT stop it. Errors are those of `open_job`.

    The signals stay ours until the end is reported: a second one must not kill the farewell. `started` is told of the
    job once it was fetched; `early` are signals that came before.
    """
    stop = Stop()

    def received(number: int) -> None:
        name = signal.Signals(number).name
        logger.info("{} received", name)
        stop.request(f"stopped by {name}")

    async def forward(signals: AsyncIterator[int]) -> None:
        async for number in signals:
            received(number)

    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals, alone():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(forward, signals)
            for number in early:
                received(number)
            async with open_job(config, stop=stop) as running:
                started(running)
                outcome = await running.wait()
            nursery.cancel_scope.cancel()
    return outcome


def _print_result(line: str) -> None:
    """Print to stdout; that nobody reads it must not change the exit code."""
    try:
        print(line, flush=True)
    except OSError:
        # What is left in the buffer would be written again at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_code(outcome: JobOutcome) -> int:
    """The code that tells how a job ended."""
    if not outcome.reported:
        return UNREPORTED
    if outcome.status == "cancelled":
        return STOPPED
    return SUCCEEDED if outcome.success else FAILED
