"""Classifies refusals and failures of the Kubernetes API: whether they may be temporary. Pure functions."""

from __future__ import annotations

import os
import ssl
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, cast

import httpx
import msgspec
import trio

from trioworker.fleet.kubernetes.api.objects import Status
from trioworker.fleet.kubernetes.login.credentials import LoginError
from trioworker.protocol.odd_replies import INVALID
from trioworker.worker.client.exchange import parse_retry_after

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MESSAGE = 500
"""Characters of the API's message in an error."""
LOG = "GET log"
"""The operation whose failures may be a node's."""
EVENTS = "GET events"
"""The operation without which a fleet still works."""
LISTS = ("GET jobs", "GET pods", EVENTS)
"""The operations that don't name an object."""
WRONG_SERVER = "check the server in {source}"
WRONG_OBJECT = "correct --image, --cpu, --memory or the pod template"


class Meaning(Enum):
    """Whether the same request may succeed later."""

    OUTAGE = "temporary: the API is overloaded or down"
    QUOTA = "temporary: until other objects are deleted"
    LOGIN = "temporary if the API has just been started; otherwise the login is wrong"
    RIGHTS = "temporary if the API has just been started; otherwise a permission is missing"
    FINAL = "permanent, whatever the object"
    OBJECT = "permanent for this object"


class Failure(NamedTuple):
    """One failed attempt of a request.

    `text` says what happened, as in "the API TEXT"; `remedy` what to do if it persists; `retry_after` is in seconds. An
    outage `is_general` if it concerns all requests, not only those of its operation. `is_untrusted`: the server's
    certificate isn't trusted.
    """

    meaning: Meaning
    text: str
    remedy: str = ""
    retry_after: float = 0.0
    is_general: bool = False
    is_untrusted: bool = False
    status: int = 0
    message: str = ""


class RequestRefusedError(Exception):
    """The API refused a request because of its object, such as one that already or no longer exists.

    `status` is the HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def failure_of_response(operation: str, response: httpx.Response) -> Failure:
    """Classify an unsuccessful response. `operation` is a method and a kind of object, such as `POST jobs`."""
    status = _decode(response)
    retry_after = parse_retry_after(response.headers.get("retry-after"))
    code = response.status_code
    message = _one_line(status.message if status else _text(response)) or response.reason_phrase
    meaning, remedy = _judge(operation, code, message, status)
    if operation == EVENTS and meaning in {Meaning.RIGHTS, Meaning.FINAL}:
        meaning = Meaning.OBJECT
    if meaning is Meaning.QUOTA:
        # The object's name is left out, since one line covers all objects.
        message = message.partition("is forbidden: ")[2] or message
    return Failure(
        meaning,
        f"answers {code} ({message})" if message else f"answers {code}",
        remedy,
        retry_after,
        is_general=status is None or retry_after > 0 or meaning is Meaning.LOGIN,
        status=code,
        message=message,
    )


def failure_of_error(operation: str, error: Exception) -> Failure:
    """Classify an exception of httpx, a `trio.TooSlowError`, or a `LoginError`."""
    if isinstance(error, LoginError):
        return Failure(Meaning.LOGIN, f"can't be used without a login ({error})", "log in again")
    if isinstance(error, httpx.LocalProtocolError):
        # Its message would show the header, and with it the token.
        return Failure(Meaning.FINAL, "can't be used: the request has an invalid header", "check the token in {source}")
    if operation == LOG and isinstance(error, httpx.ReadTimeout):
        message = "the node doesn't answer"
        return Failure(Meaning.OBJECT, message, status=504, message=message)
    untrusted = next((each for each in _chain(error) if isinstance(each, ssl.SSLCertVerificationError)), None)
    if untrusted is not None:
        text = f"has an untrusted certificate ({untrusted.verify_message})"
        remedy = "correct the server or its certificate authority in {source}"
        return Failure(Meaning.OUTAGE, text, remedy, is_general=True, is_untrusted=True)
    return Failure(Meaning.OUTAGE, f"can't be reached ({_cause(error)})", WRONG_SERVER, is_general=True)


def failure_of_body(operation: str) -> Failure:
    """Classify a success with an unexpected body: it was truncated, or another program answered."""
    return Failure(Meaning.OUTAGE, f"answers {operation} with an unexpected body", WRONG_SERVER)


def _judge(operation: str, code: int, message: str, status: Status | None) -> tuple[Meaning, str]:
    match code:
        case _ if operation == LOG and status is not None and (code in {400, 404} or "/containerLogs/" in message):
            return Meaning.OBJECT, ""
        case 408 | 425 | 429:
            return Meaning.OUTAGE, ""
        case _ if code >= 500:
            return Meaning.OUTAGE, WRONG_SERVER
        case 401:
            return Meaning.LOGIN, "log in again, or correct the user in {source}"
        case 403:
            return _judge_forbidden(message, status)
        case 404:
            return _judge_missing(operation, message, status)
        case 409:
            return _judge_conflict(operation, status)
        case 410 if operation in LISTS and status is not None and status.reason == "Expired":
            return Meaning.OBJECT, ""
        case 400 | 413 | 422 if operation.startswith("POST ") and (status is not None or code == 413):
            return Meaning.FINAL, WRONG_OBJECT
        case _:
            return Meaning.FINAL, WRONG_SERVER


def _judge_forbidden(message: str, status: Status | None) -> tuple[Meaning, str]:
    """Classify a 403: by the authorization, a quota, an admission policy, or a proxy in front of the API."""
    if "exceeded quota: " in message or "status unknown for quota: " in message:
        return Meaning.QUOTA, ""
    if "failed quota: " in message:
        return Meaning.FINAL, "the quota requires values that the Job doesn't set; set them in the pod template"
    if status is None or " cannot " in message:
        return Meaning.RIGHTS, "grant the permission, or name another namespace with --namespace"
    if "being terminated" in message:
        return Meaning.FINAL, "the namespace is being deleted; name another one with --namespace"
    return Meaning.FINAL, "a cluster policy forbids the object; change the pod template or ask an administrator"


def _judge_conflict(operation: str, status: Status | None) -> tuple[Meaning, str]:
    """Classify a 409: the object exists or has another uid, or a quota or an admission policy caused it."""
    reason = "" if status is None else status.reason
    if operation.startswith("POST ") and reason == "Conflict":
        # Other clients changed the same quota at the same time.
        return Meaning.OUTAGE, ""
    if operation.startswith("DELETE ") or (operation.startswith("POST ") and reason == "AlreadyExists"):
        return Meaning.OBJECT, ""
    return Meaning.FINAL, WRONG_OBJECT if operation.startswith("POST ") and reason else WRONG_SERVER


def _judge_missing(operation: str, message: str, status: Status | None) -> tuple[Meaning, str]:
    """Classify a 404: of an object, the namespace, or a path that a starting API or another program doesn't know."""
    if status is None or status.reason != "NotFound" or "could not find the requested resource" in message:
        return Meaning.RIGHTS, WRONG_SERVER
    if message.startswith("namespaces ") or (status.details is not None and status.details.kind == "namespaces"):
        return Meaning.FINAL, "create the namespace, or name another one with --namespace"
    if operation in LISTS or operation.startswith("POST "):
        return Meaning.FINAL, WRONG_SERVER
    return Meaning.OBJECT, ""


def _decode(response: httpx.Response) -> Status | None:
    """Return the API's Status, or None if the response isn't the API's own, such as a proxy's."""
    try:
        return msgspec.json.decode(response.content, type=Status)
    except INVALID:
        return None


def _text(response: httpx.Response) -> str:
    """Return a text body. HTML is for browsers, so it is left out: the status line is enough."""
    content = response.content[: 4 * MAX_MESSAGE].decode(errors="replace")
    is_markup = "html" in response.headers.get("content-type", "").lower() or content.lstrip().startswith(
        ("<", "{", "[")
    )
    return "" if is_markup else content


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


def _cause(error: Exception) -> str:
    """Describe an exception by the operating system's words, which httpx hides."""
    if isinstance(error, httpx.TimeoutException | trio.TooSlowError):
        return "no answer in time"
    for each in _chain(error):
        if isinstance(each, ssl.SSLError) and each.reason:
            return f"TLS fails: {each.reason.lower().replace('_', ' ')}"
        if isinstance(each, OSError) and each.errno is not None:
            # trio puts the address into `strerror`. Name lookups have errors of their own, below 0.
            return os.strerror(each.errno) if each.errno > 0 else str(each.strerror)
    return _one_line(str(error)) or type(error).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what caused it, innermost last."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _chain(each)
    cause = error.__cause__ or error.__context__
    if cause is not None:
        yield from _chain(cause)
