"""The file of jobs: one JSON object per line, a job of an orchestrator and where to run it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.errors import ConfigError
from trioworker.fleet.lines import at_line, convert, read_lines
from trioworker.fleet.resources import check_resources
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
    title: str | None = None
    fleet: str | None = None
    """The fleet's id, if this is the job of a task."""
    image: str | None = None
    """The image of its worker; None: that of the fleet."""
    resources: tuple[tuple[str, str], ...] = ()
    """What its worker needs, by the names and quantities of Kubernetes, instead of the fleet's."""

    @property
    def name(self) -> str:
        """What people call it: its title, or its id."""
        return self.title or self.job_id

    def __repr__(self) -> str:
        return f"FleetJob(job_id={self.job_id!r})"


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `POST /jobs`, which has `id`, or a line with `job_id`; and where to run the job."""

    token: str
    job_id: str | None = None
    id: str | None = None
    title: str | None = None
    orchestrator_url: str | None = None
    workspace: str | None = None
    options: dict[str, str | int | float] = {}
    image: str | None = None
    resources: dict[str, str | int | float] = {}


def read_jobs(path: Path, *, orchestrator_url: str, workspace: str | None, worker_options: Parsers) -> list[FleetJob]:
    """Read the jobs of a file, in order. Blank lines are skipped; `{job_id}` in `workspace` becomes the job's id.

    `worker_options` are the options that a line may set, each with the parser of its value.

    Raises:
        ConfigError: the file can't be read, or a line isn't a job; the message has the file and line, never a token.
    """
    jobs: dict[str, FleetJob] = {}
    for number, line in read_lines(path):
        job = at_line(path, number, lambda line=line: _job(line, orchestrator_url, workspace, worker_options))
        if job.job_id in jobs:
            raise ConfigError(f"{path}:{number}: job {job.job_id} is a duplicate; give each job one line")
        jobs[job.job_id] = job
    if not jobs:
        raise ConfigError(f"{path}: contains no jobs; give each one a line of JSON with job_id and token")
    return list(jobs.values())


def _job(fields: dict[str, Any], orchestrator_url: str, workspace: str | None, worker_options: Parsers) -> FleetJob:
    if "task" in fields and "token" not in fields:
        raise ValueError("a task needs a model: give --llm, or make it a job of an orchestrator by POST /jobs")
    line = convert(fields, _Line)
    job_id = _parsed("job_id", _one_id(line), values.job_id).lower()
    where = line.workspace if line.workspace is not None else workspace
    return FleetJob(
        job_id=job_id,
        token=_token(line.token),
        title=line.title,
        orchestrator_url=_parsed("orchestrator_url", line.orchestrator_url or orchestrator_url, values.http_url),
        workspace=None if where is None else where.replace("{job_id}", job_id),
        worker_options=parse_options(line.options, worker_options),
        image=None if line.image is None else _parsed("image", line.image, _image),
        resources=_resources(line.resources),
    )


def _resources(resources: Mapping[str, str | float]) -> tuple[tuple[str, str], ...]:
    try:
        check_resources(resources)
    except ValueError as error:
        raise ValueError(f"resources: {error}") from error
    return tuple((name, str(quantity)) for name, quantity in resources.items())


def _image(text: str) -> str:
    if not text or not text.isprintable() or " " in text:
        raise ValueError("the name of an image")
    return text


def _one_id(line: _Line) -> str:
    if line.job_id is None and line.id is None:
        raise ValueError("`job_id` is missing: the `id` that POST /jobs returned")
    if None not in (line.job_id, line.id) and line.job_id != line.id:
        raise ValueError("`job_id` and `id` differ; leave one out")
    return line.job_id or line.id or ""


def parse_options(options: Mapping[str, str | float], parsers: Parsers) -> tuple[str, ...]:
    """The options of a line as arguments of its worker.

    Raises:
        ValueError: an option is unknown, or its value is invalid.
    """
    return tuple(_worker_option(name, value, parsers) for name, value in options.items())


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
