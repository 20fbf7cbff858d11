"""The worker API: the contract's requests under `/worker/{job_id}/`, each authorized by the job's token."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import msgspec
import trio
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from trioworker.orchestrator.answers import Acknowledgement, ModelError, ModelErrorDetails, TextReply
from trioworker.orchestrator.backends.base import LlmError, LlmRefusedError, LlmRequest, NamedReply
from trioworker.orchestrator.database import unlocked
from trioworker.orchestrator.request_checks import bearer_token, check_depth, check_integer, job_iteration, read_body
from trioworker.orchestrator.starts import check_start
from trioworker.protocol.wire import CompletionReport, EventPost, StatusUpdate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from trioworker.orchestrator.backends.base import Backend
    from trioworker.orchestrator.store import Store
    from trioworker.protocol.wire import Reply

    Handler = Callable[[Request, str], Awaitable[Response]]

LLM_FAILED = 502
"""The model failed; the worker retries (contract, 'HTTP')."""
LLM_REFUSED = 422
"""The model will never answer this request. A final status: otherwise the worker would retry until its deadline."""

_status = msgspec.json.Decoder(StatusUpdate)
_event = msgspec.json.Decoder(EventPost)
_report = msgspec.json.Decoder(CompletionReport)
_llm = msgspec.json.Decoder(LlmRequest)


class WorkerApi:
    """Request handlers; the application mounts `routes`."""

    def __init__(self, store: Store, backend: Backend) -> None:
        self._store = store
        self._backend = backend

    def routes(self) -> list[Route]:
        """One route for each row of the contract's table."""
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
            job_id = await unlocked(self._authorized, request)
            try:
                return await handler(request, job_id)
            except LlmError as error:
                return _llm_error(error)

        return Route(f"/worker/{{job_id}}/{path}", authorized, methods=[method])

    def _authorized(self, request: Request) -> str:
        """The job's id, if the token is this job's."""
        token = bearer_token(request)
        try:
            job_id = str(uuid.UUID(request.path_params["job_id"]))
        except ValueError:
            raise HTTPException(404, "no such job") from None
        access = self._store.access(job_id, token)
        check_start(self._store.starts, request, job_id, has_access=access == "granted")
        match access:
            case "granted":
                return job_id
            case "denied":
                raise HTTPException(401, "the token is wrong, or the job has ended")
            case "unknown":
                raise HTTPException(404, "no such job")

    async def _job(self, _: Request, job_id: str) -> Response:
        return json_response(await unlocked(self._store.description, job_id))

    async def _credentials(self, _: Request, job_id: str) -> Response:
        credentials = await unlocked(self._store.credentials, job_id)
        return json_response(credentials) if credentials else Response(status_code=204)

    async def _prompt(self, _: Request, job_id: str) -> Response:
        prompt = await unlocked(self._store.take_prompt, job_id)
        return Response(status_code=204) if prompt is None else json_response(prompt)

    async def _status(self, request: Request, job_id: str) -> Response:
        status = await read_body(request, _status)
        check_integer(status.iteration, "iteration")
        await unlocked(self._store.set_status, job_id, status)
        return Response()

    async def _event(self, request: Request, job_id: str) -> Response:
        event = await read_body(request, _event)
        check_depth(event.data)
        if isinstance(seq := event.data.get("seq"), int):
            check_integer(seq, "seq")

        def add() -> None:
            # The job may have been granted to another start while the body was read.
            self._authorized(request)
            self._store.add_event(job_id, event.event_type, event.data)

        await unlocked(add)
        return Response()

    async def _complete_text(self, request: Request, job_id: str) -> Response:
        body = await read_body(request, _llm, allow_nul=True)
        reply = await self._reply(request, job_id, msgspec.structs.replace(body, tools=None, tool_choice=None))
        return json_response(
            TextReply(
                content=reply.content or "",
                input_tokens=reply.input_tokens or 0,
                output_tokens=reply.output_tokens or 0,
                finish_reason=reply.finish_reason,
            )
        )

    async def _complete_with_tools(self, request: Request, job_id: str) -> Response:
        body = await read_body(request, _llm, allow_nul=True)
        reply = await self._reply(request, job_id, msgspec.structs.replace(body, tools=body.tools or ()))
        return json_response(reply)

    async def _reply(self, request: Request, job_id: str, llm_request: LlmRequest) -> Reply:
        """The model's reply. The request to the model is cancelled when the worker disconnects, to save its cost."""
        await unlocked(self._store.add_request, job_id, job_iteration(request))
        reply: Reply | None = None
        failure: LlmError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on_disconnect, request, nursery.cancel_scope)
            try:
                reply = await self._backend.complete(llm_request)
            except LlmError as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if reply is None:
            raise HTTPException(400, "the client disconnected")
        model = None
        if isinstance(reply, NamedReply):
            model, reply = reply.model, msgspec.structs.replace(reply, model=None)
        await unlocked(self._store.add_usage, job_id, reply, model)
        if reply.content is None:
            return reply
        # The worker reports what the model says, and a report with NUL is refused.
        return msgspec.structs.replace(reply, content=reply.content.replace("\0", "\ufffd"))

    async def _complete(self, request: Request, job_id: str) -> Response:
        report = await read_body(request, _report)
        check_integer(report.iterations, "iterations")

        def complete() -> bool:
            self._authorized(request)
            return self._store.complete(job_id, report)

        # Another report may have arrived while this body was read; the first one revokes the token.
        if not await unlocked(complete):
            raise HTTPException(401, "the job has ended")
        return json_response(Acknowledgement())


def json_response(value: object, status: int = 200) -> Response:
    """A response with `value` as JSON."""
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")


async def _cancel_on_disconnect(request: Request, scope: trio.CancelScope) -> None:
    """Cancel `scope` when the client closes its connection. The body has been read, so no other message matters."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _llm_error(error: LlmError) -> Response:
    """The response for an error of the model (contract, 'Additions of the embedded orchestrator')."""
    status = LLM_REFUSED if isinstance(error, LlmRefusedError) else LLM_FAILED
    response = json_response(ModelError(error=ModelErrorDetails(kind=error.kind, message=str(error))), status)
    if error.retry_after is not None:
        response.headers["Retry-After"] = error.retry_after
    return response
