"""Replaying a job: the worker as it is, with a recorded orchestrator and recorded tools, held against its cassette."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from trioworker.cassette.recorded_orchestrator import Divergence, RecordedOrchestrator
from trioworker.cassette.recorded_tools import Answers, replayed
from trioworker.cassette.recorder import open_recorder
from trioworker.errors import WorkerError
from trioworker.supervision.nurseries import unwrap_single_exception
from trioworker.worker.api import open_job
from trioworker.worker.config import WorkerConfig
from trioworker.worker.redaction.secrets import Redactor
from trioworker.worker.tools.registry import BUILTIN_TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from trioworker.cassette.format import Cassette
    from trioworker.worker.cancellation import StopRequest
    from trioworker.worker.lifecycle import RunningJob
    from trioworker.worker.outcome import JobOutcome
    from trioworker.worker.tools.base import AnyTool

TOKEN = "token-of-a-replayed-job"  # noqa: S105 - it opens nothing
STOPPED = "Execution stopped: "
"""How the message of a job begins that was stopped; the reason follows."""
ROOM = 3600.0
"""Seconds more than a job had that did not run out of time: follow-ups are waited for, and a machine may be busy."""


class DivergedError(WorkerError):
    """A replayed job is not the recorded one. `diff` shows the first request that differs, if one does."""

    def __init__(self, divergence: Divergence) -> None:
        super().__init__(divergence.message)
        self.diff = divergence.diff

    def __str__(self) -> str:
        return "\n".join(filter(None, (*self.args, self.diff)))


class Replay:
    """What `open_job` needs to run a recorded job again: `config`, `transport` and `tools`; `check` holds it against
    the recording. Under trio's `MockClock` it takes a blink.
    """

    def __init__(
        self,
        cassette: Cassette,
        *,
        tools: Iterable[AnyTool] = BUILTIN_TOOLS,
        on_event: Callable[[str, dict[str, Any]], None] = lambda _, __: None,
    ) -> None:
        """`tools` are the recorded job's, none of which runs; `told` is called with each event's type and data."""
        tools = tuple(tools)
        self.cassette = cassette
        self._redact = _redactor()
        self.transport = RecordedOrchestrator(cassette, self._redact, on_event)
        answers = Answers(cassette, tools, self.transport.missing)
        self.tools: tuple[AnyTool, ...] = tuple(replayed(tool, answers) for tool in tools)

    def config(self, workspace: Path, **more: Any) -> WorkerConfig:
        """The recorded job's configuration, in a folder that may be any."""
        header = self.cassette.header
        out_of_time = self.cassette.end.status == "stuck"
        recorded = WorkerConfig(
            job_id=header.job_id,
            token=TOKEN,
            workspace=workspace,
            orchestrator_url=header.orchestrator_url,
            max_iterations=header.max_iterations,
            reasoning=header.reasoning,
            context_limit=header.context_limit,
            timeout=header.timeout if out_of_time else header.timeout + ROOM,
        )
        return msgspec.structs.replace(recorded, **more)

    async def stop_where_recorded(self, job: RunningJob) -> None:
        """Stop the job when it is where the recorded one was stopped."""
        await self.transport.ran_out.wait()
        if self.cassette.end.status == "cancelled":
            job.stop(self.cassette.end.message.removeprefix(STOPPED))

    def check(self, outcome: JobOutcome) -> None:
        """Hold the end against the recorded one.

        Raises:
            DivergedError: a request was another one, or one was not made, or the job ended in another way.
        """
        divergence = self.transport.divergence or self._missing() or self._other_end(outcome)
        if divergence is not None:
            raise DivergedError(divergence)

    def _missing(self) -> Divergence | None:
        recorded, made = len(self.cassette.exchanges), self.transport.requests
        return None if made == recorded else Divergence(f"the job ended after request {made} of {recorded}")

    def _other_end(self, outcome: JobOutcome) -> Divergence | None:
        end = self.cassette.end
        if outcome.status != end.status:
            return Divergence(f"the job ended as {outcome.status} ({outcome.message}), and not as {end.status}")
        if outcome.iterations != end.iterations:
            return Divergence(f"the job ended in iteration {outcome.iterations}, and not in {end.iterations}")
        if self._redact(outcome.message) != end.message and not self._gave_up():
            return Divergence(f"the job ended with {outcome.message!r}, and not with {end.message!r}")
        return None

    def _gave_up(self) -> bool:
        """The last request was tried until its time was over: how often, and why in the end, is chance."""
        last = self.cassette.exchanges[-1].reply if self.cassette.exchanges else None
        return last is not None and not 200 <= last.status < 500


async def replay(
    cassette: Cassette,
    workspace: Path,
    *,
    tools: Iterable[AnyTool] = BUILTIN_TOOLS,
    on_event: Callable[[str, dict[str, Any]], None] = lambda _, __: None,
    stop: StopRequest | None = None,
    record: Path | None = None,
    **more: Any,
) -> JobOutcome:
    """Run a recorded job again and compare it with its cassette.

    `record` is a new cassette to record the replay into; `more` are fields of the configuration.

    Raises:
        DivergedError: it is not the recorded one.
    """
    player = Replay(cassette, tools=tools, on_event=on_event)
    config = player.config(workspace, **more)
    recording = nullcontext() if record is None else open_recorder(config, record)
    with recording as recorder, unwrap_single_exception():
        async with (
            open_job(config, transport=player.transport, tools=player.tools, stop=stop, recorder=recorder) as job,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(player.stop_where_recorded, job)
            outcome = await job.wait()
            nursery.cancel_scope.cancel()
    if stop is None or stop.reason is None:
        player.check(outcome)
    return outcome


def _redactor() -> Callable[[str], str]:
    redactor = Redactor(token=TOKEN)
    return lambda text: redactor.redact(text).text
