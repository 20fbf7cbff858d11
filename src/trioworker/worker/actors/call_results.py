"""Prepares the results of calls: redacts them, saves large ones in files, and cuts them for the model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec
from loguru import logger

from trioworker.protocol.limits import KIB, MAX_KEPT_OUTPUT_BYTES, MIN_OUTPUT_FILE_BYTES
from trioworker.protocol.text import truncate
from trioworker.supervision.threads import run_in_thread_if_possible
from trioworker.worker.state.records import CallEnded, EventQueued
from trioworker.worker.tools.cut import cut_middle, fits
from trioworker.worker.tools.kept_outputs import OutputNotKeptError

if TYPE_CHECKING:
    from trioworker.worker.services import Services
    from trioworker.worker.state.job import Job, TurnCall
    from trioworker.worker.state.records import CallOutcome
    from trioworker.worker.tools.base import ToolResult

    CallAnswer = tuple[CallEnded, EventQueued]

THREAD_CHARACTERS = 256 * KIB
"""Length from which a result is prepared in a thread, in characters: redaction takes about 10 ms per MiB."""


class CallResults:
    """Makes the records that answer calls."""

    def __init__(self, job: Job, services: Services) -> None:
        self._job = job
        self._safety = services.safety
        self._events = services.events
        self._outputs = services.outputs
        self._reading = services.registry.reading
        self._limit = services.config.output_limit
        self._threads = services.tool_threads
        self._recorder = services.recorder

    async def answer(self, call: TurnCall, result: ToolResult, outcome: CallOutcome) -> CallAnswer:
        """The end of the call with this result, and its event. Nothing is committed."""
        answer = partial(self._answer, call, result, outcome)
        if len(result.text) > THREAD_CHARACTERS:
            return await run_in_thread_if_possible(answer, limiter=self._threads)
        return answer()

    def _answer(self, call: TurnCall, result: ToolResult, outcome: CallOutcome) -> CallAnswer:
        planned = call.planned
        safe = self._safety.tool_output(result.text if outcome == "success" else f"Error: {result.text}")
        for warning in safe.warnings:
            logger.warning("the output of {} may contain a secret: {}", planned.name, warning)
        result = msgspec.structs.replace(result, text=safe.text, diff=self._safety.redact(result.diff))
        if self._recorder is not None:
            self._recorder.tool_result(planned.call_id, result)
        content, kept = self._shown(call, safe.text, safe.note, outcome)
        ended = CallEnded(
            call_id=planned.call_id,
            content=content,
            output=truncate(safe.text, MAX_KEPT_OUTPUT_BYTES),
            outcome=outcome,
            kept=kept,
        )
        if outcome == "success":
            return ended, self._events.tool_result(planned, result.text, exit_code=result.exit_code, diff=result.diff)
        return ended, self._events.tool_error(planned, safe.text)

    def _shown(self, call: TurnCall, text: str, note: str, outcome: CallOutcome) -> tuple[str, str]:
        """The text for the model, and the path of the file with the full output, empty if there is none."""
        end = f"\n{note}" if note else ""
        limit = self._limit - len(end.encode())
        is_short = fits(text, limit)
        is_repeatable = call.planned.name in self._reading or outcome != "success"
        if is_short and (is_repeatable or fits(text, MIN_OUTPUT_FILE_BYTES)):
            return text + end, ""
        kept = remark = ""
        try:
            kept = self._outputs.keep(self._file_name(call), text)
            remark = f"the full output is in {kept}"
        except OutputNotKeptError as error:
            remark = f"the full output was not kept: {error}"
        return (text if is_short else cut_middle(text, limit, remark)) + end, kept

    def _file_name(self, call: TurnCall) -> str:
        """The name of the file, which is the same in a replay of the job."""
        position = next(number for number, one in enumerate(self._job.turn, start=1) if one is call)
        return f"{self._job.iteration}-{position}.txt"
