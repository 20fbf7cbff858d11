"""The worker's side: the contract's requests under `/worker/{job_id}/`, each behind the job's own token."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import msgspec
import trio
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from trioworker.orchestrator.backends.base import LlmError, LlmRefusedError, LlmRequest
from trioworker.orchestrator.request_checks import bearer_token, read_body
from trioworker.protocol.wire import CompletionReport, EventPost, StatusUpdate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from trioworker.orchestrator.backends.base import Backend
    from trioworker.orchestrator.store import Store
    from trioworker.protocol.wire import Reply

    Handler = Callable[[Request, str], Awaitable[Response]]

REPLY_FAILED = 502
"""The model did not answer; the worker tries again (contract, 'HTTP')."""
REPLY_REFUSED = 422
"""The model will not answer this: a final status, or the worker would ask on until its time is over."""

_status = msgspec.json.Decoder(StatusUpdate)
_event = msgspec.json.Decoder(EventPost)
_report = msgspec.json.Decoder(CompletionReport)
_llm = msgspec.json.Decoder(LlmRequest)


class WorkerApi:
    """The handlers; `routes` is what an application mounts."""

    def __init__(self, store: Store, backend: Backend) -> None:
        self._store = store
        self._backend = backend

    def routes(self) -> list[Route]:
        """A route for each row of the contract's table."""
        return [
            self._route("GET", "job", self._job),
            self._route("GET", "credentials", self._credentials),
            self._route("GET", "prompt", self._prompt),
            self._route("POST", "status", self._status),
            self._route("POST", "event", self._event),
            self._route("POST", "llm/complete", self._complete_text),
            self._route("POST", "llm/complete_with_tools", self._complete_with_tools),
            self._route("POST", "complete", self._complete),
        ]

    def _route(self, method: str, path: str, handler: Handler) -> Route:
        async def authorized(request: Request) -> Response:
            return await handler(request, self._authorized(request))

        return Route(f"/worker/{{job_id}}/{path}", authorized, methods=[method])

    def _authorized(self, request: Request) -> str:
        """The job's id, once the token has opened it."""
        token = bearer_token(request)
        try:
            job_id = str(uuid.UUID(request.path_params["job_id"]))
        except ValueError:
            raise HTTPException(404, "no such job") from None
        match self._store.access(job_id, token):
            case "granted":
                return job_id
            case "denied":
                raise HTTPException(401, "the token is wrong, or its job has ended")
            case "unknown":
                raise HTTPException(404, "no such job")

    async def _job(self, _: Request, job_id: str) -> Response:
        return json_response(self._store.description(job_id))

    async def _credentials(self, _: Request, job_id: str) -> Response:
        credentials = self._store.credentials(job_id)
        return json_response(credentials) if credentials else Response(status_code=204)

    async def _prompt(self, _: Request, job_id: str) -> Response:
        prompt = self._store.take_prompt(job_id)
        return Response(status_code=204) if prompt is None else json_response(prompt)

    async def _status(self, request: Request, job_id: str) -> Response:
        self._store.set_status(job_id, await read_body(request, _status))
        return Response()

    async def _event(self, request: Request, job_id: str) -> Response:
        event = await read_body(request, _event)
        self._store.add_event(job_id, event.event_type, event.data)
        return Response()

    async def _complete_text(self, request: Request, job_id: str) -> Response:
        asked = await read_body(request, _llm)
        reply = await self._replied(request, job_id, msgspec.structs.replace(asked, tools=None, tool_choice=None))
        return json_response(
            {
                "content": reply.content or "",
                "input_tokens": reply.input_tokens or 0,
                "output_tokens": reply.output_tokens or 0,
                "finish_reason": reply.finish_reason,
            }
        )

    async def _complete_with_tools(self, request: Request, job_id: str) -> Response:
        asked = await read_body(request, _llm)
        reply = await self._replied(request, job_id, msgspec.structs.replace(asked, tools=asked.tools or ()))
        return json_response(reply)

    async def _replied(self, request: Request, job_id: str, asked: LlmRequest) -> Reply:
        """The model's reply. A worker that hangs up stops the model: nobody would read the reply, and it costs."""
        reply: Reply | None = None
        failure: LlmError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when_gone, request, nursery.cancel_scope)
            try:
                reply = await self._backend.complete(asked)
            except LlmError as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise _failed(failure)
        if reply is None:
            raise HTTPException(400, "the client hung up")
        self._store.add_usage(job_id, reply)
        return reply

    async def _complete(self, request: Request, job_id: str) -> Response:
        report = await read_body(request, _report)
        # Another one may have come while the body did; the first has taken the token.
        if not self._store.complete(job_id, report):
            raise HTTPException(401, "the job has ended")
        return json_response({"status": "ok"})


def json_response(value: object, status: int = 200) -> Response:
    """`value` as JSON."""
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")


async def _cancel_when_gone(request: Request, scope: trio.CancelScope) -> None:
    """Cancel `scope` when the client closes its connection. The body has been read: nothing else can come."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _failed(error: LlmError) -> HTTPException:
    if isinstance(error, LlmRefusedError):
        return HTTPException(REPLY_REFUSED, str(error))
    headers = {} if error.retry_after is None else {"Retry-After": error.retry_after}
    return HTTPException(REPLY_FAILED, str(error), headers)
