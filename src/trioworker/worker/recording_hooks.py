"""The hooks by which a recorder follows a job. Most jobs have no recorder."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from loguru import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from contextlib import AbstractContextManager

    from trioworker.protocol.wire import JobDescription
    from trioworker.worker.state.job import Job
    from trioworker.worker.state.records import Record


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


class GuardedRecorder:
    """Passes everything on to a recorder. Its exceptions never reach the job; the first one is logged."""

    def __init__(self, recorder: RecordingHooks) -> None:
        self._recorder = recorder
        self._failed = False

    def job_fetched(self, description: JobDescription, job: Job, redact: Callable[[str], str]) -> None:
        """Pass it on. Watchers that the recorder adds to the job are guarded, too."""
        known = len(job.watchers)
        with self._guard():
            self._recorder.job_fetched(description, job, redact)
        job.watchers[known:] = map(self._guarded, job.watchers[known:])

    @contextmanager
    def llm_request(self, path: str, body: bytes) -> Generator[None]:
        """Enter the recorder's block around the request."""
        block = ExitStack()
        with self._guard():
            block.enter_context(self._recorder.llm_request(path, body))
        try:
            yield
        except BaseException as error:
            with self._guard():
                block.__exit__(type(error), error, error.__traceback__)
            raise
        with self._guard():
            block.close()

    def llm_response(self, status: int, body: bytes) -> None:
        """Pass it on."""
        with self._guard():
            self._recorder.llm_response(status, body)

    def tool_result(self, call_id: str, result: RecordableResult) -> None:
        """Pass it on."""
        with self._guard():
            self._recorder.tool_result(call_id, result)

    def _guarded(self, watcher: Callable[[Iterable[Record]], None]) -> Callable[[Iterable[Record]], None]:
        def watch(changes: Iterable[Record]) -> None:
            with self._guard():
                watcher(changes)

        return watch

    @contextmanager
    def _guard(self) -> Generator[None]:
        try:
            yield
        except Exception as error:
            if not self._failed:
                self._failed = True
                # Only the type: the message may contain anything.
                logger.error("the recorder raised {}; the recording is unusable", type(error).__name__)
