"""Records a job as it runs: the requests to the model, their replies, and what is committed to the job."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import trio
from loguru import logger

from trioworker.cassette.bodies import NO_PARTS, BodySplitter, redact_json, redact_text, shorten
from trioworker.cassette.cassette_file import open_cassette_file
from trioworker.cassette.format import (
    CassetteHeader,
    CassetteLine,
    RecordedCall,
    RecordedEnd,
    RecordedPrompt,
    RecordedReply,
    RecordedRequest,
    encode_line,
)
from trioworker.cassette.portable_paths import with_portable_paths
from trioworker.errors import OrchestratorError
from trioworker.worker.state import records

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from pathlib import Path

    from trioworker.cassette.cassette_file import CassetteFile
    from trioworker.protocol.wire import JobDescription
    from trioworker.worker.config import WorkerConfig
    from trioworker.worker.recording_hooks import RecordableResult
    from trioworker.worker.state.job import Job
    from trioworker.worker.state.records import PlannedCall, Record


@contextmanager
def open_recorder(config: WorkerConfig, path: Path) -> Generator[CassetteRecorder]:
    """Open a recorder that `open_job` and `run_job` take as `recorder`; it records the job into the file `path`.

    Raises:
        ConfigError: the file can't be opened, is in the workspace, or is anything other than a recording of this job.
    """
    with open_cassette_file(path, config.job_id, config.workspace) as file:
        yield CassetteRecorder(file, path, config)


class CassetteRecorder:
    """`RecordingHooks` that write a cassette. A write error ends the recording, never the job."""

    def __init__(self, file: CassetteFile, path: Path, config: WorkerConfig) -> None:
        self._file = file
        self._path = path
        self._config = config
        self._open = True
        self._redact: Callable[[str], str] = _redact_before_job
        self._bodies = BodySplitter(_redact_before_job)
        self._before = NO_PARTS
        self._last_response: tuple[int, bytes] | None = None
        self._prompts: list[str] = []
        self._planned: dict[str, PlannedCall] = {}
        self._started: dict[str, float] = {}
        self._pending_results: dict[str, RecordableResult] = {}
        self._iteration = 0

    def job_fetched(self, description: JobDescription, job: Job, redact: Callable[[str], str]) -> None:
        """Start recording. Before this, the job's secrets are unknown, and nothing is written."""
        self._redact = with_portable_paths(redact)
        self._bodies = BodySplitter(self._redact)
        # A resumed job has some of these.
        self._iteration = job.iteration
        self._prompts = list(job.follow_ups)
        self._planned = {call.planned.call_id: call.planned for call in job.turn}
        self._started = {call.planned.call_id: trio.current_time() for call in job.turn if call.started}
        job.watchers.append(self._on_commit)
        if self._file.resumed:
            return
        if job.opened:
            logger.warning("{}: the recording starts in the middle of the job and can't be replayed", self._path)
        self._write(
            CassetteHeader(
                job_id=self._config.job_id,
                # Without the user and the password, which a replay doesn't need: it sends no request there.
                orchestrator_url=re.sub(r"(?<=://)[^/]*@", "", self._config.orchestrator_url),
                title=redact(description.title),
                description=redact(description.description),
                max_iterations=self._config.max_iterations,
                reasoning=self._config.reasoning,
                context_limit=self._config.context_limit,
                token_budget=self._config.token_budget,
                max_tokens=self._config.max_tokens,
                timeout=self._config.timeout,
            )
        )

    @contextmanager
    def llm_request(self, path: str, body: bytes) -> Generator[None]:
        """Record a request and the last response to it; a cancelled request has none."""
        started_at = trio.current_time()
        self._last_response = None
        self._write(self._request_line(path, body))
        try:
            yield
        except OrchestratorError:
            self._write(self._reply_line(trio.current_time() - started_at))
            raise
        self._write(self._reply_line(trio.current_time() - started_at))

    def llm_response(self, status: int, body: bytes) -> None:
        """Keep the response; the next attempt may replace it."""
        self._last_response = status, body

    def tool_result(self, call_id: str, result: RecordableResult) -> None:
        """Keep the result until the call's end is committed."""
        self._pending_results[call_id] = result

    def _request_line(self, path: str, body: bytes) -> RecordedRequest:
        parts, before = self._bodies.split(body), self._before
        self._before = parts
        if not parts.fields:
            return RecordedRequest(path=path, text=parts.whole.decode())
        kept, rest = shorten(parts, before)
        return RecordedRequest(path=path, kept=kept, body=msgspec.Raw(rest))

    def _reply_line(self, seconds: float) -> RecordedReply:
        status, body = self._last_response or (0, b"")
        seconds = round(seconds, 3)
        if _is_json_on_one_line(body):
            return RecordedReply(status=status, seconds=seconds, body=msgspec.Raw(redact_json(body, self._redact)))
        return RecordedReply(status=status, seconds=seconds, text=redact_text(body, self._redact).decode())

    def _on_commit(self, changes: Iterable[Record]) -> None:
        for change in changes:
            match change:
                case records.FollowUpReceived(content=content):
                    self._prompts.append(content)
                case records.FollowUpsJoined(count=count):
                    for content in self._prompts[:count]:
                        self._write(RecordedPrompt(content=self._redact(content)))
                    del self._prompts[:count]
                case records.IterationStarted(number=number):
                    self._iteration = number
                case records.ReplyAccepted(calls=calls):
                    self._planned = {call.call_id: call for call in calls}
                    self._started = {}
                case records.CallStarted(call_id=call_id):
                    self._started[call_id] = trio.current_time()
                case records.CallEnded():
                    self._write(self._call_line(change))
                case records.OutcomeDecided():
                    self._write_end(change)
                case _:
                    continue

    def _call_line(self, ended: records.CallEnded) -> RecordedCall:
        planned = self._planned[ended.call_id]
        started = self._started.get(ended.call_id)
        # The job itself keeps only a part of a large output.
        result = self._pending_results.pop(ended.call_id, None)
        return RecordedCall(
            id=self._redact(ended.call_id),
            name=self._redact(planned.name),
            arguments=msgspec.Raw(redact_json(planned.arguments, self._redact)),
            ran=started is not None,
            outcome=ended.outcome,
            seconds=0.0 if started is None else round(trio.current_time() - started, 3),
            output=result.text if result else ended.output,
            exit_code=result.exit_code if result else None,
            diff=result.diff if result else "",
        )

    def _write_end(self, decided: records.OutcomeDecided) -> None:
        """Write the outcome and stop recording: nothing after the first decision matters for a replay."""
        self._write(
            RecordedEnd(status=decided.status, message=self._redact(decided.message), iterations=self._iteration)
        )
        self._open = False

    def _write(self, line: CassetteLine) -> None:
        if not self._open:
            return
        try:
            self._file.append(encode_line(line))
        except (OSError, UnicodeEncodeError) as error:
            self._open = False
            logger.error("{}: the recording stops here, so this job can't be replayed: {}", self._path, error)


def _redact_before_job(_: str) -> str:
    raise RuntimeError("recorded before the job's secrets are known")


def _is_json_on_one_line(body: bytes) -> bool:
    if b"\n" in body:
        return False
    try:
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
