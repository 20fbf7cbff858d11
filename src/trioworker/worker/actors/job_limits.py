"""The limits of a whole job: iterations, time and tokens. Reports when one is near, and when the job has to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trioworker.worker.llm.limit_report import TIMED_OUT
from trioworker.worker.llm.prompts import iterations_left, limits_note, seconds_left, tokens_left
from trioworker.worker.state.conversation import message_record
from trioworker.worker.state.records import LimitsNoted, WrapUpStarted

if TYPE_CHECKING:
    from trioworker.worker.config import WorkerConfig
    from trioworker.worker.state.job import Job
    from trioworker.worker.state.records import Limit, Record

NOTED_SHARE = 0.75
"""The used share of a limit at which a note tells the model what is left."""
REPORT_TIME = 45.0
REPORT_SHARE = 0.1
"""The time reserved for the model's report: these seconds, or this share of the job's time if that is less."""


class JobLimits:
    """The limits of one job. `deadline` is in seconds of trio's clock."""

    def __init__(self, job: Job, config: WorkerConfig, deadline: float) -> None:
        self._job = job
        self._max_iterations = config.max_iterations
        self._timeout = config.timeout
        self._budget = config.token_budget
        self._deadline = deadline

    def reached(self) -> WrapUpStarted | None:
        """Why the next request has to be the one for the report; None if the job can continue."""
        if self._seconds_left < min(REPORT_TIME, self._timeout * REPORT_SHARE):
            return WrapUpStarted(status="stuck", reason=TIMED_OUT)
        if self._job.awaiting_reply:
            return None
        if self._budget is not None and self._tokens >= self._budget:
            return WrapUpStarted(status="failed", reason=f"Execution failed: token budget ({self._budget}) exceeded")
        if self._job.iteration >= self._max_iterations:
            reason = f"Execution failed: max iterations ({self._max_iterations}) exceeded"
            return WrapUpStarted(status="failed", reason=reason)
        return None

    def note(self, iteration: int) -> list[Record]:
        """The records of a note to the model at the start of `iteration`, if limits are near; otherwise none."""
        near: dict[Limit, str] = {}
        if iteration - 1 >= self._max_iterations * NOTED_SHARE:
            near["iterations"] = iterations_left(iteration, self._max_iterations)
        if self._timeout - self._seconds_left >= self._timeout * NOTED_SHARE:
            near["time"] = seconds_left(self._seconds_left, self._timeout)
        if self._budget is not None and self._tokens >= self._budget * NOTED_SHARE:
            near["tokens"] = tokens_left(self._tokens, self._budget)
        new: dict[Limit, str] = {limit: text for limit, text in near.items() if limit not in self._job.noted}
        if not new:
            return []
        note = message_record("user", limits_note(list(new.values())))
        return [LimitsNoted(limits=tuple(new)), note]

    @property
    def _seconds_left(self) -> float:
        return self._deadline - trio.current_time()

    @property
    def _tokens(self) -> int:
        return self._job.input_tokens + self._job.output_tokens
