"""Request and response bodies of the management API. Only `NewJob` contains a token."""

from __future__ import annotations

from typing import Any

import msgspec

from trioworker.protocol.wire import Credential


class NewJobRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /jobs`. The title defaults to the start of the description."""

    description: str
    title: str | None = None
    project_dir: str | None = None
    credentials: tuple[Credential, ...] | None = None


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `POST /jobs`: the only one that contains the token."""

    id: str
    token: str
    title: str

    def __repr__(self) -> str:
        return f"NewJob(id={self.id!r})"


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """A job's LLM usage so far. `requests` includes those that failed; it is 0 in events, which count only tokens."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended. `iterations` is null if its worker didn't report."""

    success: bool
    message: str | None
    iterations: int | None


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job. Times are in Unix seconds. `state` is pending, in_progress, completed, failed, cancelled or stuck.

    `model` is the name of the model that replied last; null before the first reply.
    """

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
    model: str | None = None


class JobSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A job in the page's list."""

    id: str
    title: str
    state: str
    created: float
    ended: float | None


class PromptView(msgspec.Struct, frozen=True, kw_only=True):
    """A follow-up prompt. `taken` is when the worker fetched it; null means that it is queued, or was never read."""

    content: str
    sent: float
    taken: float | None


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a job. `number` counts from 1 in order of arrival; `usage` is the job's total at that time."""

    number: int
    event_type: str
    data: dict[str, Any]
    at: float
    usage: Usage


def title_of(description: str) -> str:
    """The default title of a job: the first line of its description, at most 80 characters."""
    lines = description.strip().splitlines() or ["Job"]
    return lines[0] if len(lines[0]) <= 80 else lines[0][:79] + "…"
