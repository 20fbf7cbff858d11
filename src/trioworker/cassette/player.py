"""Replay: runs the worker against a recorded orchestrator and recorded tools, and compares it with the cassette."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from trioworker.cassette.portable_paths import with_portable_paths
from trioworker.cassette.recorded_orchestrator import Divergence, RecordedOrchestrator
from trioworker.cassette.recorded_tools import RecordedOutputs, replayed
from trioworker.cassette.recorder import open_recorder
from trioworker.errors import WorkerError
from trioworker.protocol.control_characters import escape_text
from trioworker.protocol.wire import Message
from trioworker.supervision.nurseries import unwrap_single_exception
from trioworker.worker.api import open_job
from trioworker.worker.config import WorkerConfig
from trioworker.worker.llm.prompts import environment_of
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

TOKEN = "token-of-a-replayed-job"  # noqa: S105 - it gives access to nothing
STOPPED_PREFIX = "Execution stopped: "
"""The beginning of a stopped job's message; the reason follows."""
EXTRA_TIMEOUT = 3600.0
"""Seconds added to the time limit of a job that didn't reach it: the replay waits for follow-ups, and may be slower."""


class DivergedError(WorkerError):
    """A replayed job differs from the recorded one.

    Attributes:
        diff: the first request that differs, if one does.
    """

    def __init__(self, divergence: Divergence) -> None:
        super().__init__(divergence.message)
        self.diff = divergence.diff

    def __str__(self) -> str:
        return escape_text("\n".join(filter(None, (*self.args, self.diff))))


class Replay:
    """The arguments of `open_job` that replay a job: `config`, `transport`, `tools`, `machine` and `extra_time`.

    `machine` is what the recorded system message says about the machine, since a replay may run on another. `check`
    compares the outcome with the recording. With trio's `MockClock`, a replay takes no real time.
    """

    def __init__(
        self,
        cassette: Cassette,
        *,
        tools: Iterable[AnyTool] = BUILTIN_TOOLS,
        on_event: Callable[[str, dict[str, Any]], None] = lambda _, __: None,
    ) -> None:
        """`tools` are those of the recorded job; none of them runs. `on_event` gets each event's type and data."""
        tools = tuple(tools)
        self.cassette = cassette
        self._redact = _redactor()
        self.extra_time = 0.0 if cassette.end.status == "stuck" else EXTRA_TIMEOUT
        self.machine = _machine(cassette)
        self.transport = RecordedOrchestrator(cassette, self._redact, on_event)
        outputs = RecordedOutputs(cassette, tools, self.transport.wait_if_stopped)
        self.tools: tuple[AnyTool, ...] = tuple(replayed(tool, outputs) for tool in tools)

    def config(self, workspace: Path, **more: Any) -> WorkerConfig:
        """Return the recorded job's configuration, changed by `more`. `workspace` may be any folder."""
        header = self.cassette.header
        recorded = WorkerConfig(
            job_id=header.job_id,
            token=TOKEN,
            workspace=workspace,
            orchestrator_url=header.orchestrator_url,
            max_iterations=header.max_iterations,
            reasoning=header.reasoning,
            context_limit=header.context_limit,
            token_budget=header.token_budget,
            max_tokens=header.max_tokens,
            timeout=header.timeout,
        )
        return msgspec.structs.replace(recorded, **more)

    async def stop_where_recorded(self, job: RunningJob) -> None:
        """Stop the job at the place where the recorded one was stopped."""
        await self.transport.reached_stop.wait()
        if self.cassette.end.status == "cancelled":
            job.stop(self.cassette.end.message.removeprefix(STOPPED_PREFIX))

    def check(self, outcome: JobOutcome) -> None:
        """Compare the requests and the outcome with the recorded ones.

        Raises:
            DivergedError: a request differs or was not made, or the job ended differently.
        """
        divergence = self.transport.divergence or self._missing_requests() or self._different_end(outcome)
        if divergence is not None:
            raise DivergedError(divergence)

    def _missing_requests(self) -> Divergence | None:
        recorded, made = len(self.cassette.exchanges), self.transport.requests
        return None if made == recorded else Divergence(f"the job ended after request {made} of {recorded}")

    def _different_end(self, outcome: JobOutcome) -> Divergence | None:
        end = self.cassette.end
        if outcome.status != end.status:
            return Divergence(f"the job ended as {outcome.status} ({outcome.message}), not as {end.status}")
        if outcome.iterations != end.iterations:
            return Divergence(f"the job ended in iteration {outcome.iterations}, not in {end.iterations}")
        if self._redact(outcome.message) != end.message and not self._retries_ran_out():
            return Divergence(f"the job ended with {outcome.message!r}, not with {end.message!r}")
        return None

    def _retries_ran_out(self) -> bool:
        """Whether the last request was retried until the end: the reason for the retries then varies."""
        if not self.cassette.exchanges:
            return False
        last = self.cassette.exchanges[-1].reply
        return last is None or not 200 <= last.status < 500


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
    """Replay a job and compare it with its cassette.

    Args:
        cassette: the recorded job.
        workspace: any folder; nothing is read or written there.
        tools: the tools of the recorded job; none of them runs.
        on_event: called with each event's type and data.
        stop: a request to stop the replay, which is then not compared.
        record: a new cassette to record the replay into.
        more: fields of the configuration to change.

    Raises:
        DivergedError: the job differs from the recorded one.
    """
    player = Replay(cassette, tools=tools, on_event=on_event)
    config = player.config(workspace, **more)
    recording = nullcontext() if record is None else open_recorder(config, record)
    with recording as recorder, unwrap_single_exception():
        async with (
            open_job(
                config,
                transport=player.transport,
                tools=player.tools,
                stop=stop,
                recorder=recorder,
                machine=player.machine,
                extra_time=player.extra_time,
            ) as job,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(player.stop_where_recorded, job)
            outcome = await job.wait()
            nursery.cancel_scope.cancel()
    if stop is None or stop.reason is None:
        player.check(outcome)
    return outcome


def _machine(cassette: Cassette) -> str | None:
    """What the system message of the first request says about the machine; None if it isn't one of ours."""
    try:
        request = _opening(cassette.exchanges[0].request)
        return environment_of(request.messages[0].content)
    except (LookupError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


class _Opening(msgspec.Struct):
    messages: list[Message]


_opening = msgspec.json.Decoder(_Opening).decode


def _redactor() -> Callable[[str], str]:
    redactor = Redactor(token=TOKEN)
    return with_portable_paths(lambda text: redactor.redact(text).text)
