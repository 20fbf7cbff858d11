"""Response bodies that are neither the contract's nor a job: lists, acknowledgements and errors of the model."""

from __future__ import annotations

from typing import Literal

import msgspec

from trioworker.orchestrator.backends.base import ErrorKind
from trioworker.orchestrator.views import JobView


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `GET /jobs`: at most 1,000 jobs, newest first."""

    jobs: list[JobView]


class TextReply(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `POST llm/complete`."""

    content: str
    input_tokens: int
    output_tokens: int
    finish_reason: str | None


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """The response to `POST complete`."""

    status: Literal["ok"] = "ok"


class ModelErrorDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The kind of the error, and the model server's own words."""

    kind: ErrorKind
    message: str


class ModelError(msgspec.Struct, frozen=True, kw_only=True):
    """The model didn't answer. `unavailable` may be transient (502); the other kinds are final (422)."""

    error: ModelErrorDetails
