"""The file of jobs: one JSON object per line, a job of an orchestrator and where to run it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.errors import ConfigError
from trioworker.protocol import values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Parsers = Mapping[str, Callable[[str], Any]]


class FleetJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job, with everything that its worker needs. `repr` never shows the token."""

    job_id: str
    token: str
    orchestrator_url: str
    workspace: str | None
    worker_options: tuple[str, ...]
    """The options of the line as arguments: `--timeout=600 …`."""

    def __repr__(self) -> str:
        return f"FleetJob(job_id={self.job_id!r})"


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    job_id: str
    token: str
    orchestrator_url: str | None = None
    workspace: str | None = None
    options: dict[str, str | int | float] = {}


def read_jobs(path: Path, *, orchestrator_url: str, workspace: str | None, worker_options: Parsers) -> list[FleetJob]:
    """Read the jobs of a file, in order. Blank lines are skipped; `{job_id}` in `workspace` becomes the job's id.

    `worker_options` are the options that a line may set, each with the parser of its value.

    Raises:
        ConfigError: the file can't be read, or a line isn't a job; the message has the file and line, never a token.
    """
    decoder = msgspec.json.Decoder(_Line)
    jobs: dict[str, FleetJob] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a file with one job per line") from error
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            job = _job(decoder.decode(text), orchestrator_url, workspace, worker_options)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            raise ConfigError(f"{path}:{number}: {error}") from error
        if job.job_id in jobs:
            raise ConfigError(f"{path}:{number}: job {job.job_id} is a duplicate; give each job one line")
        jobs[job.job_id] = job
    if not jobs:
        raise ConfigError(f"{path}: contains no jobs; give each one a line of JSON with job_id and token")
    return list(jobs.values())


def _job(line: _Line, orchestrator_url: str, workspace: str | None, worker_options: Parsers) -> FleetJob:
    job_id = _parsed("job_id", line.job_id, values.job_id).lower()
    where = line.workspace if line.workspace is not None else workspace
    return FleetJob(
        job_id=job_id,
        token=_token(line.token),
        orchestrator_url=_parsed("orchestrator_url", line.orchestrator_url or orchestrator_url, values.http_url),
        workspace=None if where is None else where.replace("{job_id}", job_id),
        worker_options=tuple(_worker_option(name, value, worker_options) for name, value in line.options.items()),
    )


def _token(token: str) -> str:
    try:
        return values.bearer_token(token)
    except ValueError as error:
        # The value is a secret, so the message doesn't quote it.
        raise ValueError(f"token: is not {error}") from None


def _worker_option(name: str, value: str | float, parsers: Parsers) -> str:
    key = name.replace("-", "_")
    if key not in parsers:
        raise ValueError(f"options: {name[:80]!r} is unknown; the options are {', '.join(sorted(parsers))}")
    text = str(value)
    _parsed(f"options.{name}", text, parsers[key])
    return f"--{key.replace('_', '-')}={text}"


def _parsed(source: str, text: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{source}: {text[:200]!r} is not {error}") from error
