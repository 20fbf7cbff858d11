"""The tool executor: runs the calls of a turn, each at most once, and lets the job have their answers."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import msgspec
import trio
from loguru import logger

from trioworker.errors import InvalidParametersError, ToolError
from trioworker.protocol.limits import MAX_ARGUMENTS_BYTES, MAX_KEPT_OUTPUT_BYTES
from trioworker.protocol.text import truncate
from trioworker.protocol.wire import INTERRUPTED
from trioworker.worker.actors.messages import TurnSettled, wake
from trioworker.worker.processes.ownership import job_mark
from trioworker.worker.processes.processes import Processes
from trioworker.worker.state.records import CallAnnounced, CallEnded, CallStarted
from trioworker.worker.tools.base import ToolContext, parse_arguments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trioworker.worker.actors.messages import TurnOpened
    from trioworker.worker.actors.publisher import Publisher
    from trioworker.worker.services import Services
    from trioworker.worker.state.job import Call, Job
    from trioworker.worker.state.records import CallOutcome, Record
    from trioworker.worker.tools.base import AnyTool, Parameters

    CallAnswer = tuple[Call, str, CallOutcome]


_decode_json = msgspec.json.Decoder().decode


class ToolExecutor:
    """Works off the open turn whenever woken."""

    def __init__(
        self,
        job: Job,
        services: Services,
        publisher: Publisher,
        turns: trio.MemoryReceiveChannel[TurnOpened],
        settled: trio.MemorySendChannel[TurnSettled],
    ) -> None:
        self._job = job
        self._registry = services.registry
        self._safety = services.safety
        self._events = services.events
        self._workspace = services.workspace
        self._environment = services.environment
        self._sandbox = services.sandbox
        self._threads = services.tool_threads
        self._publisher = publisher
        self._turns = turns
        self._settled = settled
        self._tracer = services.tracer
        self._recorder = services.recorder

    async def run(self) -> None:
        """Run turn after turn. Processes that a call leaves behind live until this incarnation ends."""
        with self._publisher, self._turns, self._settled:
            async with Processes(job_mark(self._job.job_id, self._job.started_at), self._sandbox) as processes:
                context = ToolContext(
                    workspace=self._workspace,
                    environment=self._environment,
                    processes=processes,
                    threads=self._threads,
                )
                await self._answer_interrupted()
                while True:
                    await self._work_off(context)
                    wake(self._settled, TurnSettled(iteration=self._job.iteration))
                    await self._turns.receive()

    async def _answer_interrupted(self) -> None:
        """An earlier incarnation started these and saw no end; running them again could do their work twice."""
        interrupted = [call for call in self._job.turn if call.started and not call.ended]
        await self._end([(call, INTERRUPTED, "interrupted") for call in interrupted], 0.0)

    async def _work_off(self, context: ToolContext) -> None:
        for group in self._groups():
            for call in group:
                await self._announce(call)
            began = trio.current_time()
            if len(group) == 1:
                answers = [await self._answer(group[0], context)]
            else:
                answers = await self._side_by_side(group, context)
            await self._end(answers, trio.current_time() - began)

    def _groups(self) -> Iterator[list[Call]]:
        """The calls to run, in the order asked for; neighbours that only read make one group."""
        waiting = [call for call in self._job.turn if not call.ended]
        for reading, calls in groupby(waiting, key=self._only_reads):
            if reading:
                yield list(calls)
            else:
                yield from ([call] for call in calls)

    def _only_reads(self, call: Call) -> bool:
        return call.planned.name in self._registry.reading

    async def _announce(self, call: Call) -> None:
        if not call.announced:
            await self._publisher.commit(
                CallAnnounced(call_id=call.planned.call_id), self._events.tool_use(call.planned)
            )

    async def _side_by_side(self, group: Iterable[Call], context: ToolContext) -> list[CallAnswer]:
        answers: dict[str, CallAnswer] = {}

        async def answer(call: Call) -> None:
            answers[call.planned.call_id] = await self._answer(call, context)

        async with trio.open_nursery() as nursery:
            for call in group:
                nursery.start_soon(answer, call)
        return [answers[call.planned.call_id] for call in group]

    async def _answer(self, call: Call, context: ToolContext) -> CallAnswer:
        """What the call gave. Nothing that a tool or the model does wrong ends the job."""
        try:
            tool, parameters = self._understood(call)
            self._job.commit(CallStarted(call_id=call.planned.call_id))
            await self._job.sync()
            with self._tracer.span("tool", tool.name, iteration=self._job.iteration, call=call.planned.call_id):
                return call, await _bounded(tool, parameters, context), "success"
        except ToolError as error:
            return call, str(error), "failure"
        except Exception as error:
            logger.opt(exception=error).error("the tool {} crashed", call.planned.name)
            return call, f"the tool {call.planned.name} crashed: {type(error).__name__}: {error}", "failure"

    def _understood(self, call: Call) -> tuple[AnyTool, Parameters]:
        if call.planned.refusal:
            raise ToolError(call.planned.refusal)
        tool = self._registry.get(call.planned.name)
        size = len(call.planned.arguments)
        if size > MAX_ARGUMENTS_BYTES:
            raise InvalidParametersError([f"arguments: {size} bytes, at most {MAX_ARGUMENTS_BYTES} are taken"])
        return tool, parse_arguments(tool.parameters, _decode_json(call.planned.arguments))

    async def _end(self, answers: Iterable[CallAnswer], seconds: float) -> None:
        """Let the job have the answers, all at once: a cancel can't lose the second for the first."""
        changes: list[Record] = []
        for answer in answers:
            changes += self._ended(*answer, seconds=0.0 if changes else seconds)
        await self._publisher.commit(*changes)

    def _ended(self, call: Call, output: str, outcome: CallOutcome, *, seconds: float) -> tuple[Record, Record]:
        text = output if outcome == "success" else f"Error: {output}"
        safe = self._safety.tool_output(call.planned.name, text)
        for warning in safe.warnings:
            logger.warning("the output of {} may hold a secret: {}", call.planned.name, warning)
        if self._recorder is not None:
            self._recorder.tool_output(call.planned.call_id, safe.redacted)
        event = self._events.tool_result if outcome == "success" else self._events.tool_error
        kept = truncate(safe.redacted, MAX_KEPT_OUTPUT_BYTES)
        ended = CallEnded(
            call_id=call.planned.call_id, content=safe.text, output=kept, outcome=outcome, seconds=seconds
        )
        return ended, event(call.planned, safe.redacted)


async def _bounded(tool: AnyTool, parameters: Parameters, context: ToolContext) -> str:
    limit = tool.time_limit(parameters)
    with trio.move_on_after(limit):
        result = await tool.run(parameters, context)
        return msgspec.json.format(msgspec.json.encode(result), indent=2).decode()
    raise ToolError(f"timed out after {limit:g} s")
