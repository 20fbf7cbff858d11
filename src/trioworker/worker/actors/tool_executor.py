"""The tool executor: runs the calls of a turn, each at most once, and commits their answers to the job."""

from __future__ import annotations

import traceback
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec
import trio
from loguru import logger

from trioworker.errors import InvalidParametersError, ToolError
from trioworker.protocol.limits import MAX_ARGUMENTS_BYTES, MAX_CONCURRENT_CALLS
from trioworker.protocol.wire import INTERRUPTED
from trioworker.worker.actors.call_results import CallResults
from trioworker.worker.actors.messages import TurnSettled, wake
from trioworker.worker.processes.ownership import job_mark
from trioworker.worker.processes.processes import Processes
from trioworker.worker.state.records import CallAnnounced, CallStarted
from trioworker.worker.tools.arguments import parse_arguments
from trioworker.worker.tools.base import ToolContext, ToolResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trioworker.worker.actors.call_results import CallAnswer
    from trioworker.worker.actors.messages import TurnOpened
    from trioworker.worker.actors.publisher import Publisher
    from trioworker.worker.services import Services
    from trioworker.worker.state.job import Job, TurnCall
    from trioworker.worker.state.records import CallOutcome, Record
    from trioworker.worker.tools.base import AnyTool, Parameters


_decode_json = msgspec.json.Decoder().decode


class ToolExecutor:
    """Runs the calls of the open turn whenever woken."""

    def __init__(
        self,
        job: Job,
        services: Services,
        publisher: Publisher,
        turns: trio.MemoryReceiveChannel[TurnOpened],
        settled: trio.MemorySendChannel[TurnSettled],
        *,
        deadline: float,
    ) -> None:
        """`deadline` is the job's, in seconds of trio's clock."""
        self._job = job
        self._registry = services.registry
        self._events = services.events
        self._workspace = services.workspace
        self._environment = services.environment
        self._sandbox = services.sandbox
        self._threads = services.tool_threads
        self._publisher = publisher
        self._turns = turns
        self._settled = settled
        self._tracer = services.tracer
        self._output_limit = services.config.output_limit
        self._deadline = deadline
        self._results = CallResults(job, services)
        self._redact = services.safety.redact

    async def run(self) -> None:
        """Run turn after turn. Processes that a call leaves in the background run until this incarnation ends."""
        with self._publisher, self._turns, self._settled:
            async with Processes(job_mark(self._job.job_id, self._job.started_at), self._sandbox) as processes:
                context = ToolContext(
                    workspace=self._workspace,
                    environment=self._environment,
                    processes=processes,
                    threads=self._threads,
                    output_limit=self._output_limit,
                    deadline=self._deadline,
                )
                await self._answer_interrupted()
                while True:
                    await self._run_calls(context)
                    wake(self._settled, TurnSettled(iteration=self._job.iteration))
                    await self._turns.receive()

    async def _answer_interrupted(self) -> None:
        """Answer the calls that an earlier incarnation started and did not see end: they never run a second time."""
        interrupted = [call for call in self._job.turn if call.started and not call.ended]
        result = ToolResult(text=INTERRUPTED)
        answers = [await self._results.answer(call, result, "interrupted") for call in interrupted]
        await self._end(answers, 0.0)

    async def _run_calls(self, context: ToolContext) -> None:
        for group in self._groups():
            for call in group:
                await self._announce(call)
            started = trio.current_time()
            if len(group) == 1:
                answers = [await self._answer(group[0], context)]
            else:
                answers = await self._run_concurrently(group, context)
            await self._end(answers, trio.current_time() - started)

    def _groups(self) -> Iterator[list[TurnCall]]:
        """The calls to run, in the order requested; adjacent calls that only read form one group."""
        waiting = [call for call in self._job.turn if not call.ended]
        for reading, calls in groupby(waiting, key=self._only_reads):
            if reading:
                yield list(calls)
            else:
                yield from ([call] for call in calls)

    def _only_reads(self, call: TurnCall) -> bool:
        return call.planned.name in self._registry.reading

    async def _announce(self, call: TurnCall) -> None:
        if not call.announced:
            await self._publisher.commit(
                CallAnnounced(call_id=call.planned.call_id), self._events.tool_use(call.planned)
            )

    async def _run_concurrently(self, group: Iterable[TurnCall], context: ToolContext) -> list[CallAnswer]:
        answers: dict[str, CallAnswer] = {}
        # Doesn't limit threads: one that hangs would keep its place beyond the call's time limit.
        running = trio.CapacityLimiter(MAX_CONCURRENT_CALLS)

        async def answer(call: TurnCall) -> None:
            async with running:
                answers[call.planned.call_id] = await self._answer(call, context)

        async with trio.open_nursery() as nursery:
            for call in group:
                nursery.start_soon(answer, call)
        return [answers[call.planned.call_id] for call in group]

    async def _answer(self, call: TurnCall, context: ToolContext) -> CallAnswer:
        """The answer to a call. No error of a tool or of the model ends the job."""
        outcome: CallOutcome = "failure"
        try:
            tool, parameters = self._resolve(call)
            self._job.commit(CallStarted(call_id=call.planned.call_id))
            await self._job.sync()
            with self._tracer.span("tool", tool.name, iteration=self._job.iteration, call=call.planned.call_id):
                result = await _run_within_limit(tool, parameters, context)
            outcome = "success"
        except ToolError as error:
            result = ToolResult(text=str(error))
        except Exception as error:
            # As text: the log of a program that embeds the job might show the values of variables, which may be secret.
            trace = self._redact("".join(traceback.format_exception(error)))
            logger.error("the tool {} crashed\n{}", call.planned.name, trace)
            result = ToolResult(text=f"the tool {call.planned.name} crashed: {type(error).__name__}: {error}")
        return await self._results.answer(call, result, outcome)

    def _resolve(self, call: TurnCall) -> tuple[AnyTool, Parameters]:
        if call.planned.refusal:
            raise ToolError(call.planned.refusal)
        tool = self._registry.get(call.planned.name)
        size = len(call.planned.arguments)
        if size > MAX_ARGUMENTS_BYTES:
            raise InvalidParametersError([f"arguments: {size} bytes, at most {MAX_ARGUMENTS_BYTES} are accepted"])
        return tool, parse_arguments(tool.parameters, _decode_json(call.planned.arguments))

    async def _end(self, answers: Iterable[CallAnswer], seconds: float) -> None:
        """Commit the answers, all at once: a cancel in between would lose some of them."""
        changes: list[Record] = []
        for ended, event in answers:
            changes += (msgspec.structs.replace(ended, seconds=0.0 if changes else seconds), event)
        await self._publisher.commit(*changes)


async def _run_within_limit(tool: AnyTool, parameters: Parameters, context: ToolContext) -> ToolResult:
    limit = tool.time_limit(parameters)
    with trio.move_on_after(limit):
        result = await tool.run(parameters, context)
        if isinstance(result, ToolResult):
            return result
        if isinstance(result, str):
            return ToolResult(text=result)
        return ToolResult(text=msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
    raise ToolError(f"timed out after {limit:g} s")
