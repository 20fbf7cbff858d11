"""How an actor lets something have happened: into the job at once, then to the shipper, which may push back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

import trio

from trioworker.actors.messages import PostWaiting
from trioworker.limits import ERROR_PREVIEW_BYTES, INPUT_PREVIEW_BYTES, MESSAGE_PREVIEW_BYTES, OUTPUT_PREVIEW_BYTES
from trioworker.llm.text import truncate
from trioworker.records import Posted

if TYPE_CHECKING:
    from types import TracebackType

    from trioworker.job import Job
    from trioworker.observe.spans import Tracer
    from trioworker.records import PlannedCall, Record
    from trioworker.safety.layer import SafetyLayer


class Publisher:
    """Commits changes to the job and tells the shipper of the posts among them; a context that closes its channel."""

    def __init__(self, job: Job, channel: trio.MemorySendChannel[PostWaiting], tracer: Tracer) -> None:
        self._job = job
        self._channel = channel
        self._tracer = tracer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    async def commit(self, *changes: Record) -> None:
        """Commit, then wait while the shipper's queue is full. A cancel in the wait loses nothing: the job has it."""
        known = self._job.posts
        self._job.commit(*changes)
        for number in range(known + 1, self._job.posts + 1):
            await self._tell(PostWaiting(number=number))

    async def _tell(self, message: PostWaiting) -> None:
        try:
            self._channel.send_nowait(message)
        except trio.WouldBlock:
            with self._tracer.span("wait", "room in the queue"):
                await self._channel.send(message)
        else:
            await trio.lowlevel.checkpoint()


class Events:
    """The contract's events and statuses as records; previews are redacted before they are cut."""

    def __init__(self, safety: SafetyLayer) -> None:
        self._safety = safety

    def message(self, role: Literal["assistant", "user"], text: str) -> Posted:
        """Somebody said something."""
        return _event("message", role=role, content=self._safety.preview(text, MESSAGE_PREVIEW_BYTES))

    def tool_use(self, call: PlannedCall) -> Posted:
        """A call is about to run."""
        preview = self._safety.preview(call.arguments.decode(), INPUT_PREVIEW_BYTES)
        return _event("tool_use", tool_name=call.name, input=preview, tool_call_id=call.call_id)

    def tool_result(self, call: PlannedCall, output: str) -> Posted:
        """A call gave a result; the output has been redacted."""
        preview = truncate(output, OUTPUT_PREVIEW_BYTES)
        return _event("tool_result", tool_name=call.name, output=preview, success=True, tool_call_id=call.call_id)

    def tool_error(self, call: PlannedCall, output: str) -> Posted:
        """A call failed, was interrupted, or did not run; the output begins with `Error: ` and has been redacted."""
        preview = truncate(output, len("Error: ") + ERROR_PREVIEW_BYTES)
        return _event("tool_result", tool_name=call.name, output=preview, success=False, tool_call_id=call.call_id)

    def status(self, message: str) -> Posted:
        """Anything else worth showing."""
        return _event("status", message=self._safety.preview(message, MESSAGE_PREVIEW_BYTES))

    def result(self, status: str, message: str, iterations: int, metrics: dict[str, int | float]) -> Posted:
        """How the job ended: the last event."""
        preview = self._safety.preview(message, MESSAGE_PREVIEW_BYTES)
        return _event(
            "result",
            success=status == "completed",
            message=preview,
            status=status,
            iterations=iterations,
            metrics=metrics,
        )

    def progress(self, message: str, iteration: int) -> Posted:
        """`POST status`: how far the job is."""
        return Posted(path="status", body={"state": "in_progress", "message": message, "iteration": iteration})


def _event(event_type: str, **data: str | int | bool | dict[str, int | float]) -> Posted:
    return Posted(path="event", body={"event_type": event_type, "data": data})
