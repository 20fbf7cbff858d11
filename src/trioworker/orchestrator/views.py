"""What the management side shows and takes: its bodies, none of which ever holds a token but `NewJob`."""

from __future__ import annotations

from typing import Any

import msgspec

from trioworker.protocol.wire import Credential


class NewJobRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /jobs`. Without a title, the start of the description is one."""

    description: str
    title: str | None = None
    project_dir: str | None = None
    credentials: tuple[Credential, ...] | None = None


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `POST /jobs`: the only place where the token is shown."""

    id: str
    token: str
    title: str

    def __repr__(self) -> str:
        return f"NewJob(id={self.id!r})"


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What the model was asked and said so far; `requests` is 0 where only tokens are told."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended. `iterations` is null when its worker did not report."""

    success: bool
    message: str | None
    iterations: int | None


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job. `state` is pending, in_progress, completed, failed, cancelled or stuck; times are seconds since 1970."""

    id: str
    title: str
    description: str
    project_dir: str | None
    state: str
    iteration: int
    status: str | None
    created: float
    ended: float | None
    report: Report | None
    usage: Usage


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a job. `number` counts from 1 in the order of arrival; `usage` is the job's until then."""

    number: int
    event_type: str
    data: dict[str, Any]
    at: float
    usage: Usage


def title_of(description: str) -> str:
    """A title for a job that was given none: the first line of its description, 80 characters at the most."""
    lines = description.strip().splitlines() or ["Job"]
    return lines[0] if len(lines[0]) <= 80 else lines[0][:79] + "…"
