"""Takes a job down as it happens: what the client sends and gets, and what is committed to the job."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import trio
from loguru import logger

from trioworker.cassette.bodies import NOTHING, Bodies, redact_json, redact_text, shortened
from trioworker.cassette.cassette_file import open_cassette_file
from trioworker.cassette.format import Call, End, Header, Line, Prompt, Reply, Request, encode_line
from trioworker.errors import OrchestratorError
from trioworker.worker.state import records

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from pathlib import Path

    from trioworker.cassette.cassette_file import CassetteFile
    from trioworker.protocol.wire import JobDescription
    from trioworker.worker.config import WorkerConfig
    from trioworker.worker.state.job import Job
    from trioworker.worker.state.records import PlannedCall, Record


@contextmanager
def open_recorder(config: WorkerConfig, path: Path) -> Generator[Recorder]:
    """A recorder for `open_job`, which records the job into the file `path`.

    Raises:
        ConfigError: the file can't be opened, is in the workspace, or holds anything else than this job.
    """
    with open_cassette_file(path, config.job_id, config.workspace) as file:
        yield Recorder(file, path, config)


class Recorder:
    """A `Tape`. A file that can't be written any more ends the recording and never the job."""

    def __init__(self, file: CassetteFile, path: Path, config: WorkerConfig) -> None:
        self._file = file
        self._path = path
        self._config = config
        self._open = True
        self._redact: Callable[[str], str] = _unknown
        self._bodies = Bodies(_unknown)
        self._before = NOTHING
        self._answer: tuple[int, bytes] | None = None
        self._prompts: list[str] = []
        self._planned: dict[str, PlannedCall] = {}
        self._started: dict[str, float] = {}
        self._outputs: dict[str, str] = {}
        self._iteration = 0

    def job_fetched(self, description: JobDescription, job: Job, redact: Callable[[str], str]) -> None:
        """Watch the job from here on. Before its secrets are known, nothing is written."""
        self._redact = redact
        self._bodies = Bodies(redact)
        # An earlier process may have left some behind.
        self._iteration = job.iteration
        self._prompts = list(job.follow_ups)
        self._planned = {call.planned.call_id: call.planned for call in job.turn}
        self._started = {call.planned.call_id: trio.current_time() for call in job.turn if call.started}
        job.watchers.append(self._committed)
        if self._file.began:
            return
        if job.opened:
            logger.warning("{}: the recording begins in the middle of the job and can't be replayed", self._path)
        self._write(
            Header(
                job_id=self._config.job_id,
                orchestrator_url=self._config.orchestrator_url,
                title=redact(description.title),
                description=redact(description.description),
                max_iterations=self._config.max_iterations,
                reasoning=self._config.reasoning,
                context_limit=self._config.context_limit,
                timeout=self._config.timeout,
            )
        )

    @contextmanager
    def llm_request(self, path: str, body: bytes) -> Generator[None]:
        """Take a request down, and its last answer; one that was cancelled stays without."""
        began = trio.current_time()
        self._answer = None
        self._write(self._request(path, body))
        try:
            yield
        except OrchestratorError:
            self._write(self._reply(trio.current_time() - began))
            raise
        self._write(self._reply(trio.current_time() - began))

    def llm_response(self, status: int, body: bytes) -> None:
        """Keep the answer: there may be another."""
        self._answer = status, body

    def tool_output(self, call_id: str, output: str) -> None:
        """Keep the output until the job has it."""
        self._outputs[call_id] = output

    def _request(self, path: str, body: bytes) -> Request:
        parts, before = self._bodies.parts(body), self._before
        self._before = parts
        if not parts.fields:
            return Request(path=path, text=parts.whole.decode())
        kept, rest = shortened(parts, before)
        return Request(path=path, kept=kept, body=msgspec.Raw(rest))

    def _reply(self, seconds: float) -> Reply:
        status, body = self._answer or (0, b"")
        seconds = round(seconds, 3)
        if _is_one_line_of_json(body):
            return Reply(status=status, seconds=seconds, body=msgspec.Raw(redact_json(body, self._redact)))
        return Reply(status=status, seconds=seconds, text=redact_text(body, self._redact).decode())

    def _committed(self, changes: Iterable[Record]) -> None:
        for change in changes:
            match change:
                case records.FollowUpReceived(content=content):
                    self._prompts.append(content)
                case records.FollowUpsJoined(count=count):
                    for content in self._prompts[:count]:
                        self._write(Prompt(content=self._redact(content)))
                    del self._prompts[:count]
                case records.IterationStarted(number=number):
                    self._iteration = number
                case records.ReplyAccepted(calls=calls):
                    self._planned = {call.call_id: call for call in calls}
                    self._started = {}
                case records.CallStarted(call_id=call_id):
                    self._started[call_id] = trio.current_time()
                case records.CallEnded():
                    self._write(self._call(change))
                case records.OutcomeDecided():
                    self._end(change)
                case _:
                    continue

    def _call(self, ended: records.CallEnded) -> Call:
        planned = self._planned[ended.call_id]
        started = self._started.get(ended.call_id)
        return Call(
            id=ended.call_id,
            name=planned.name,
            arguments=msgspec.Raw(redact_json(planned.arguments, self._redact)),
            ran=started is not None,
            outcome=ended.outcome,
            seconds=0.0 if started is None else round(trio.current_time() - started, 3),
            # The job itself keeps no more than people read.
            output=self._outputs.pop(ended.call_id, ended.output),
        )

    def _end(self, decided: records.OutcomeDecided) -> None:
        """The first decision stands, and nothing that matters comes after it."""
        self._write(End(status=decided.status, message=self._redact(decided.message), iterations=self._iteration))
        self._open = False

    def _write(self, line: Line) -> None:
        if not self._open:
            return
        try:
            self._file.append(encode_line(line))
        except (OSError, UnicodeEncodeError) as error:
            self._open = False
            logger.error("{}: no more is recorded, so this job can't be replayed: {}", self._path, error)


def _unknown(_: str) -> str:
    raise RuntimeError("nothing may be recorded before the job's secrets are known")


def _is_one_line_of_json(body: bytes) -> bool:
    if b"\n" in body:
        return False
    try:
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
