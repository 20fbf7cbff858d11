"""The API as a table of routes, from which `/openapi.json` is generated. A test compares it with the application."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from trioworker.orchestrator.answers import Acknowledgement, JobList, ModelError, TextReply
from trioworker.orchestrator.backends.base import LlmRequest
from trioworker.orchestrator.views import JobView, NewJob, NewJobRequest
from trioworker.protocol.wire import (
    CompletionReport,
    Credential,
    EventPost,
    JobDescription,
    Prompt,
    Reply,
    StatusUpdate,
)

Access = Literal["secret", "job token", "this machine", "anyone"]
"""Who may send a request: programs that know the secret, the job's worker, programs of this machine without the
secret, or anyone who can connect."""

TEXT, EVENT_STREAM, ANY_JSON = "text/plain", "text/event-stream", "application/json"
"""Responses without a struct, by their media type."""

ERRORS = {
    400: "The path, a header or the body isn't text or JSON, or is out of bounds.",
    401: "The secret or the job's token is missing or wrong, or the job has ended.",
    403: "The request comes from another machine without a secret, or from the web page of another site.",
    404: "There is no such job.",
    408: "The body did not arrive within 60 s.",
    409: "The job has ended, or belongs to a worker that was started later (`superseded`).",
    413: "The body is larger than 2,097,152 bytes.",
    415: "The body is compressed or, at `/jobs`, isn't `application/json`.",
    422: "The body is JSON that doesn't match the schema. From `llm/…` also: the model will never answer this request.",
    502: "The model didn't answer; retry.",
    503: "The database failed or is locked; retry after `Retry-After` seconds.",
}
"""What the statuses of errors mean. Errors are one line of text, except those of the model."""

MODEL_ERRORS: dict[int, Any] = {422: ModelError, 502: ModelError}
"""The statuses of the model's errors, which are JSON."""


class ApiRoute(NamedTuple):
    """A route: who may use it, the type of its body, and its responses.

    `answers` has a struct or another type, a media type, or None for an empty response, by status.
    """

    method: Literal["GET", "POST"]
    path: str
    operation: str
    summary: str
    access: Access
    answers: dict[int, Any]
    body: Any = None
    conflicts: bool = False
    """Whether an ended job answers 409."""

    @property
    def errors(self) -> list[int]:
        """The statuses of its errors, except those of the model."""
        statuses = {400}
        statuses |= {"secret": {401, 403}, "job token": {401, 409}, "this machine": {403}, "anyone": set[int]()}[
            self.access
        ]
        if self.access in {"secret", "job token"}:
            statuses.add(503)
        if "{job_id}" in self.path:
            statuses.add(404)
        if self.body is not None:
            statuses |= {408, 413, 415, 422}
        if self.conflicts:
            statuses.add(409)
        return sorted(statuses)


def _of_worker(
    method: Literal["GET", "POST"], path: str, operation: str, summary: str, answers: dict[int, Any], body: Any = None
) -> ApiRoute:
    return ApiRoute(method, f"/worker/{{job_id}}/{path}", operation, summary, "job token", answers, body)


ROUTES = (
    ApiRoute("POST", "/jobs", "createJob", "Create a job.", "secret", {201: NewJob}, NewJobRequest),
    ApiRoute("GET", "/jobs", "listJobs", "List the jobs.", "secret", {200: JobList}),
    ApiRoute("GET", "/jobs/{job_id}", "getJob", "Show a job.", "secret", {200: JobView}),
    ApiRoute("GET", "/jobs/{job_id}/events", "followEvents", "Follow a job's events.", "secret", {200: EVENT_STREAM}),
    ApiRoute(
        "POST",
        "/jobs/{job_id}/prompt",
        "sendPrompt",
        "Send a follow-up prompt to the job's worker.",
        "secret",
        {202: None},
        Prompt,
        conflicts=True,
    ),
    ApiRoute("GET", "/openapi.json", "getSchema", "This document.", "this machine", {200: ANY_JSON}),
    ApiRoute("GET", "/health", "getHealth", "Whether the orchestrator answers requests.", "anyone", {200: TEXT}),
    _of_worker("GET", "job", "fetchJob", "The job.", {200: JobDescription}),
    _of_worker(
        "GET",
        "credentials",
        "fetchCredentials",
        "Variables for the environment of the job's tools.",
        {200: list[Credential], 204: None},
    ),
    _of_worker("GET", "prompt", "fetchPrompt", "The next follow-up prompt.", {200: Prompt, 204: None}),
    _of_worker("POST", "status", "reportStatus", "Report progress.", {200: None}, StatusUpdate),
    _of_worker("POST", "event", "addEvent", "Add an event. A repeated one is dropped.", {200: None}, EventPost),
    _of_worker(
        "POST",
        "llm/complete",
        "completeText",
        "Ask the model for text.",
        {200: TextReply, **MODEL_ERRORS},
        LlmRequest,
    ),
    _of_worker(
        "POST",
        "llm/complete_with_tools",
        "completeWithTools",
        "Ask the model for text or tool calls.",
        {200: Reply, **MODEL_ERRORS},
        LlmRequest,
    ),
    _of_worker(
        "POST",
        "complete",
        "reportEnd",
        "Report the end of the job; its token is revoked.",
        {200: Acknowledgement},
        CompletionReport,
    ),
)
"""All routes, except those of the web page (`/` and `/web/…`)."""
