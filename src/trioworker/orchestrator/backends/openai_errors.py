"""Errors of OpenAI-compatible servers: their kind (contract, 'Additions of the embedded orchestrator') and one line.

The line says what happened in our words, then the status, then the reason in the server's words, which may be the only
useful part.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from trioworker.orchestrator.backends.base import LlmError, LlmRefusedError
from trioworker.orchestrator.backends.lenient_json import read_json
from trioworker.protocol.provider_errors import kind_of

if TYPE_CHECKING:
    from trioworker.orchestrator.backends.base import RefusalKind

MAX_REASON = 500
"""Characters of the server's reason that an error quotes. They include the phrases that the worker looks for."""
TRANSIENT_STATUSES = frozenset({200, 408, 409, 425, 429})
"""The only statuses below 500 that a retry may change. 200: a gateway's success with an error of the server inside."""
QUOTA_STATUS = 402
TOO_LARGE = 413
"""Gateways limit the size of a request, so the conversation must become shorter."""

QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "insufficient_balance"})
QUOTA_WORDS = re.compile(
    r"exceeded your current quota|insufficient (?:balance|credits|quota|funds)|credit balance is too low"
    r"|requires more credits|account is not active",
    re.IGNORECASE,
)
"""The words of OpenAI, DeepSeek, OpenRouter and Anthropic for an account without credit."""
RETRY_WORDS = re.compile(r"(?:retry|try again) (?:in|after) ", re.IGNORECASE)
"""Gemini calls its rate limit a quota, but says when to retry."""
KEY_WORDS = re.compile(r"api[ _-]?key|invalid x-api-key", re.IGNORECASE)
CODE_STATUSES = {"invalid_api_key": 401, "authentication_error": 401, "permission_error": 403, "model_not_found": 404}
"""The statuses that codes stand for, in an error inside a success."""


class ProviderFailure(NamedTuple):
    """An error of the server: HTTP status, its reason in one line, and its codes."""

    status: int
    reason: str
    codes: frozenset[str] = frozenset()

    @property
    def refusal(self) -> RefusalKind | None:
        """The kind of a refusal; None for a failure that a retry may change."""
        if kind := kind_of(" ".join((self.reason, *sorted(self.codes)))):
            return kind
        if self.status == TOO_LARGE:
            return "context_length"
        if self._is_quota:
            return "quota"
        return None if self.status >= 500 or self.status in TRANSIENT_STATUSES else "rejected"

    @property
    def _is_quota(self) -> bool:
        if self.status == QUOTA_STATUS or QUOTA_CODES & self.codes:
            return True
        return bool(QUOTA_WORDS.search(self.reason)) and not RETRY_WORDS.search(self.reason)


def failure_of(status: int, body: bytes) -> ProviderFailure:
    """The failure in a response with an error status."""
    try:
        value = read_json(body)
    except ValueError:
        return ProviderFailure(status, _one_line(_title(body.decode("utf-8", "replace"))))
    error = _error_in(value)
    return ProviderFailure(status, _reason(error), _codes(error))


def failure_inside(completion: dict[str, Any]) -> ProviderFailure | None:
    """The failure inside a 200: some gateways send the status before the server fails."""
    choices = completion.get("choices")
    error = completion.get("error")
    if not error and isinstance(choices, list) and choices and isinstance(choices[0], dict):
        error = cast("dict[str, Any]", choices[0]).get("error")
    if not error and not choices and completion.keys() & {"detail", "message"}:
        error = _error_in(completion)
    if not error:
        return None
    codes = _codes(error)
    return ProviderFailure(_status_of(codes), _reason(error), codes)


def error_of(failure: ProviderFailure, *, retry_after: str | None = None, has_key: bool = True) -> LlmError:
    """The backend's error for a failure. `has_key`: whether the request had an API key."""
    refusal = failure.refusal
    message = f"{_what(failure, refusal, has_key=has_key)} ({failure.status}): {failure.reason}"
    return LlmError(message, retry_after=retry_after) if refusal is None else LlmRefusedError(message, refusal)


def _what(failure: ProviderFailure, refusal: RefusalKind | None, *, has_key: bool) -> str:
    match refusal:
        case "context_length":
            return "the conversation is too long for the model"
        case "max_tokens":
            return "the model server refused max_tokens"
        case "quota":
            return "the quota or credits at the model server are used up"
        case "rejected":
            return _rejection(failure, has_key=has_key)
        case None:
            return {
                429: "the model server's rate limit was reached",
                503: "the model server is overloaded",
                529: "the model server is overloaded",
            }.get(failure.status, "the model server failed")


def _rejection(failure: ProviderFailure, *, has_key: bool) -> str:
    status = failure.status
    if status == 401 or (status in {400, 403} and KEY_WORDS.search(failure.reason)):
        if has_key:
            return "the model server rejected the API key"
        return "the model server requires an API key in OPENAI_API_KEY"
    if status == 403:
        return "the model server denied permission"
    if status in {404, 405, 410}:
        return "the model server does not know the model or the path"
    if 300 <= status < 400:
        return "the model server redirects; use its new URL"
    return "the model server refused the request"


def _error_in(value: Any) -> Any:
    """The error: OpenAI's `error`, FastAPI's `detail`, or, in vLLM, the value itself."""
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    return fields.get("error") or fields.get("detail") or fields


def _reason(error: Any) -> str:
    fields = cast("dict[str, Any]", error) if isinstance(error, dict) else {}
    text = error if isinstance(error, str) else fields.get("message") or fields.get("msg")
    if isinstance(text, dict):
        # Some gateways wrap the whole error of the server.
        return _reason(cast("Any", text))
    metadata = fields.get("metadata")
    # OpenRouter's message is only "Provider returned error"; `raw` has the provider's own.
    raw = cast("dict[str, Any]", metadata).get("raw") if isinstance(metadata, dict) else None
    parts = [part for part in (text, raw) if isinstance(part, str) and part.strip()]
    return _one_line(": ".join(parts) or (str(cast("Any", error)) if error else ""))


def _codes(error: Any) -> frozenset[str]:
    fields = cast("dict[str, Any]", error) if isinstance(error, dict) else {}
    return frozenset(str(fields[name]) for name in ("code", "type", "status") if fields.get(name) is not None)


def _status_of(codes: frozenset[str]) -> int:
    numbers = [int(code) for code in codes if re.fullmatch(r"[45]\d\d", code)]
    return next((CODE_STATUSES[code] for code in sorted(codes) if code in CODE_STATUSES), max(numbers, default=200))


def _title(text: str) -> str:
    """The title of a gateway's page, or the text."""
    title = re.search(r"<title>([^<]{1,300})</title>", text[:10_000], re.IGNORECASE)
    return title[1] if title else text


def _one_line(text: str) -> str:
    line = " ".join(text[: 10 * MAX_REASON].split())
    return (line if len(line) <= MAX_REASON else f"{line[:MAX_REASON]}…") or "no reason given"
