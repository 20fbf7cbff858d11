"""The hooks by which a recorder follows a job. Most jobs have no recorder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from trioworker.protocol.wire import JobDescription
    from trioworker.worker.state.job import Job


class RecordingHooks(Protocol):
    """Records one exchange after another; a job has one request to the model at a time."""

    def job_fetched(self, description: JobDescription, job: Job, redact: Callable[[str], str], /) -> None:
        """The job is about to be opened or resumed, and its secrets are known to `redact`."""
        ...

    def llm_request(self, path: str, body: bytes, /) -> AbstractContextManager[None]:
        """Entered around a request to the model, with all its attempts."""
        ...

    def llm_response(self, status: int, body: bytes, /) -> None:
        """An attempt of that request was answered; the last answer is the one that counts."""
        ...

    def tool_result(self, call_id: str, result: RecordableResult, /) -> None:
        """A call is about to be answered with this result, which is redacted but not cut."""
        ...


class RecordableResult(Protocol):
    """A result of a tool, as `ToolResult` is."""

    @property
    def text(self) -> str:
        """The output; that of a failed call starts with `Error: `."""
        ...

    @property
    def exit_code(self) -> int | None:
        """The exit code of a command."""
        ...

    @property
    def diff(self) -> str:
        """The changes to files, as a diff."""
        ...
