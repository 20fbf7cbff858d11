"""The contract's events and status updates, as records for the outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from trioworker.protocol.limits import (
    DIFF_PREVIEW_BYTES,
    ERROR_PREVIEW_BYTES,
    INPUT_PREVIEW_BYTES,
    MESSAGE_PREVIEW_BYTES,
    OUTPUT_PREVIEW_BYTES,
    TAIL_PREVIEW_BYTES,
)
from trioworker.protocol.text import truncate
from trioworker.worker.state.records import EventQueued

if TYPE_CHECKING:
    from trioworker.worker.state.records import PlannedCall


class Previewer(Protocol):
    """Shortens texts for events, as `SafetyLayer` does."""

    def preview(self, text: str, limit: int) -> str:
        """The redacted text, truncated to `limit` bytes."""
        ...


class Events:
    """Builds events and status updates. Previews are redacted before they are truncated."""

    def __init__(self, safety: Previewer) -> None:
        self._safety = safety

    def message(self, role: Literal["assistant", "user"], text: str) -> EventQueued:
        """The model or a person wrote something."""
        return _event("message", role=role, content=self._safety.preview(text, MESSAGE_PREVIEW_BYTES))

    def tool_use(self, call: PlannedCall) -> EventQueued:
        """A call is about to start."""
        preview = self._safety.preview(call.arguments.decode(), INPUT_PREVIEW_BYTES)
        return _event("tool_use", tool_name=call.name, input=preview, tool_call_id=call.call_id)

    def tool_result(
        self, call: PlannedCall, output: str, *, exit_code: int | None = None, diff: str = ""
    ) -> EventQueued:
        """A call succeeded. `output` and `diff` are already redacted."""
        more: dict[str, str | int] = {}
        if exit_code is not None:
            more["exit_code"] = exit_code
        if diff:
            more["diff"] = truncate(diff, DIFF_PREVIEW_BYTES - len("..."))
        return _tool_result(call, output, OUTPUT_PREVIEW_BYTES, success=True, **more)

    def tool_error(self, call: PlannedCall, output: str) -> EventQueued:
        """A call failed, was interrupted, or did not run. `output` starts with `Error: ` and is already redacted."""
        return _tool_result(call, output, len("Error: ") + ERROR_PREVIEW_BYTES, success=False)

    def status(self, message: str) -> EventQueued:
        """Anything else worth showing."""
        return _event("status", message=self._safety.preview(message, MESSAGE_PREVIEW_BYTES))

    def result(self, status: str, message: str, iterations: int, metrics: dict[str, int | float]) -> EventQueued:
        """The outcome of the job, which is the last event."""
        preview = self._safety.preview(message, MESSAGE_PREVIEW_BYTES)
        return _event(
            "result",
            success=status == "completed",
            message=preview,
            status=status,
            iterations=iterations,
            metrics=metrics,
        )

    def progress(self, message: str, iteration: int) -> EventQueued:
        """A status update (`POST status`): the job reached this iteration."""
        return EventQueued(path="status", body={"state": "in_progress", "message": message, "iteration": iteration})


def _tool_result(call: PlannedCall, output: str, limit: int, *, success: bool, **more: str | int) -> EventQueued:
    preview = truncate(output, limit)
    if preview != output:
        # Each character has at least one byte.
        tail = output[-TAIL_PREVIEW_BYTES:].encode("utf-8", "replace")
        more["tail"] = tail[-TAIL_PREVIEW_BYTES:].decode("utf-8", "ignore")
    return _event(
        "tool_result", tool_name=call.name, output=preview, success=success, tool_call_id=call.call_id, **more
    )


def _event(event_type: str, **data: str | int | bool | dict[str, int | float]) -> EventQueued:
    return EventQueued(path="event", body={"event_type": event_type, "data": data})
