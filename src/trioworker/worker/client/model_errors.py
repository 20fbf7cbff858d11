"""Converts failures of the model behind the orchestrator to errors that quote the provider.

The embedded orchestrator says what kind of failure it is (contract, 'Additions of the embedded orchestrator'). Others
answer 502 with text; see `protocol/provider_errors.py` for what is recognized in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trioworker.errors import ContextLengthError, MaxTokensError, ModelRefusedError
from trioworker.protocol.odd_replies import INVALID, read_reply
from trioworker.protocol.provider_errors import context_limit, kind_of, max_tokens_limit
from trioworker.worker.client.exchange import TransientError

if TYPE_CHECKING:
    from trioworker.protocol.wire import Reply
    from trioworker.worker.client.exchange import HttpResponse

MAX_MESSAGE = 1_000
"""Characters of a provider's message that are kept."""
PLAIN_STATUSES = frozenset({400, 413, 422})
"""The 4xx statuses whose text is searched for a provider's words. Every 5xx status is, too."""


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    kind: str = ""


class _ErrorBody(msgspec.Struct, frozen=True):
    error: msgspec.Raw = msgspec.Raw(b"null")


def model_failure(response: HttpResponse) -> Exception | None:
    """The failure in an unsuccessful response; None if it isn't known to be the model's."""
    error = _error(response.body)
    if error.kind:
        return _of_kind(error, response.retry_after)
    if response.status >= 500 or response.status in PLAIN_STATUSES:
        return _recognized(_line(response.body.decode("utf-8", "replace")))
    return None


def reply_or_failure(body: bytes) -> Reply:
    """The reply in a 2xx response. Some gateways put an error there instead.

    Raises:
        TransientError: the response contains an error, and a retry may succeed.
        OrchestratorError: the response contains an error that no retry can change.
        msgspec.MsgspecError: the body isn't a JSON object.
        RecursionError: it is nested too deeply.
    """
    reply = read_reply(body)
    if reply.content is None and not reply.tool_calls and reply.finish_reason is None:
        error = _error(body)
        if error.kind:
            raise _of_kind(error, 0.0)
        if error.message:
            raise _recognized(error.message) or TransientError(error.message)
    return reply


def _error(body: bytes) -> _Error:
    """The `error` of a body. If it isn't an object with a message, its text is the message."""
    try:
        raw = msgspec.json.decode(body, type=_ErrorBody).error
    except INVALID:
        return _Error()
    try:
        error = msgspec.json.decode(raw, type=_Error)
    except INVALID:
        error = _Error()
    text = "" if bytes(raw) == b"null" else bytes(raw).decode("utf-8", "replace").strip('"')
    return _Error(message=_line(error.message or text), kind=error.kind)


def _of_kind(error: _Error, retry_after: float) -> Exception:
    """The error that the orchestrator named. An unknown kind is retried, like `unavailable`."""
    message = error.message
    match error.kind:
        case "context_length" | "max_tokens" if recognized := _recognized(message):
            return recognized
        case "context_length":
            return ContextLengthError(message)
        case "max_tokens":
            return MaxTokensError(message)
        case "rejected" | "quota":
            return ModelRefusedError(message)
        case _:
            return TransientError(message, retry_after=retry_after)


def _recognized(message: str) -> Exception | None:
    match kind_of(message):
        case "context_length":
            return ContextLengthError(message, context_limit(message))
        case "max_tokens":
            return MaxTokensError(message, max_tokens_limit(message))
        case None:
            return None


def _line(text: str) -> str:
    return " ".join(text[: 2 * MAX_MESSAGE].split())[:MAX_MESSAGE]
