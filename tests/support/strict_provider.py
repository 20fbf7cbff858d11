"""A fake model server that refuses what the strictest providers refuse, and otherwise gives scripted answers.

It is an httpx transport for tests in one process, and a server on loopback for other programs.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

import httpx

from support.provider_rules import problems

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

BYTES_PER_TOKEN = 4
RETURNED_FIELDS = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks", "extra_content")
"""Fields of its own answers that a provider accepts from the client."""
THOUGHTS_MISSING = "The `reasoning_content` in the thinking mode must be passed back to the API."
"""DeepSeek's words."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A response. Whatever it is, it takes one request."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def completion(message: Any, finish_reason: Any = "stop", **fields: Any) -> Answer:
    """A completion with this message."""
    body = {"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}], **fields}
    return Answer(body=json.dumps({"usage": {"prompt_tokens": 100, "completion_tokens": 10}, **body}).encode())


def says(text: Any, finish_reason: Any = "stop", **fields: Any) -> Answer:
    """A completion with text. `fields` are those of the message."""
    return completion({"role": "assistant", "content": text, **fields}, finish_reason)


def calls(*functions: tuple[Any, Any], ids: Sequence[Any] = ("call_a", "call_b"), **fields: Any) -> Answer:
    """A completion that calls functions, each by name and arguments."""
    made = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, (name, arguments) in zip(ids, functions, strict=False)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": made, **fields}
    return completion(message, "tool_calls")


def fails(status: int, message: str, *, headers: Mapping[str, str] | None = None, **fields: Any) -> Answer:
    """An error in OpenAI's format."""
    body = json.dumps({"error": {"message": message, **fields}}).encode()
    return Answer(body=body, status=status, headers=headers or {})


class StrictProvider(httpx.AsyncBaseTransport):
    """Gives one answer after another, and the last one to all further requests. A refused request takes no answer.

    Attributes:
        requests: the bodies, in the order in which they came.
        refusals: why requests were refused for their form. Limits are not among them.
        limited: how many requests exceeded a limit, or had a parameter that the model doesn't support.
    """

    def __init__(
        self,
        answers: Sequence[Answer],
        *,
        context_tokens: int = 1_000_000,
        max_tokens: int = 1_000_000,
        unsupported: Mapping[str, str] | None = None,
    ) -> None:
        """`unsupported` maps a parameter to the words that refuse it."""
        self.requests: list[dict[str, Any]] = []
        self.refusals: list[str] = []
        self.limited = 0
        self._answers = list(answers)
        self._context_tokens = context_tokens
        self._max_tokens = max_tokens
        self._unsupported = unsupported or {}
        self._returned: frozenset[str] = frozenset()
        self._thoughts: dict[str, str] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = self.answer(request.method, request.url.path, await request.aread())
        return httpx.Response(answer.status, stream=httpx.ByteStream(answer.body), headers=dict(answer.headers))

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """The answer to a request."""
        if (method, path) == ("GET", "/v1/models"):
            return Answer(body=b'{"object":"list","data":[{"id":"strict","object":"model"}]}')
        if (method, path) != ("POST", "/v1/chat/completions"):
            return fails(404, f"Unknown request URL: {method} {path}")
        request: dict[str, Any] = json.loads(body)
        self.requests.append(request)
        return self._refused(request) or self._limits(request) or self._next()

    def _refused(self, request: dict[str, Any]) -> Answer | None:
        found = [*problems(request, self._returned), *self._missing_thoughts(request)]
        self.refusals += found
        return fails(400, "; ".join(found), code="invalid_request_error") if found else None

    def _missing_thoughts(self, request: dict[str, Any]) -> list[str]:
        for message in request["messages"]:
            for call in message.get("tool_calls") or ():
                if self._thoughts.get(call["id"], message.get("reasoning_content")) != message.get("reasoning_content"):
                    return [THOUGHTS_MISSING]
        return []

    def _limits(self, request: dict[str, Any]) -> Answer | None:
        refusal: Answer | None = None
        tokens = len(json.dumps(request["messages"], ensure_ascii=False).encode()) // BYTES_PER_TOKEN
        limit = request.get("max_tokens", request.get("max_completion_tokens", 0))
        if unsupported := self._unsupported.keys() & request.keys():
            refusal = fails(400, self._unsupported[min(unsupported)], code="unsupported_parameter")
        elif limit > self._max_tokens:
            words = (
                f"max_tokens is too large: {limit}. This model supports at most {self._max_tokens} completion tokens"
            )
            refusal = fails(400, f"{words}, whereas you provided {limit}.", code="invalid_value")
        elif tokens > self._context_tokens:
            words = f"This model's maximum context length is {self._context_tokens} tokens. However, your messages "
            words += f"resulted in {tokens} tokens. Please reduce the length of the messages."
            refusal = fails(400, words, code="context_length_exceeded")
        self.limited += refusal is not None
        return refusal

    def _next(self) -> Answer:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        try:
            message = json.loads(answer.body)["choices"][0]["message"]
        except (ValueError, LookupError, TypeError):
            return answer
        if isinstance(message, dict):
            self._remember(cast("dict[str, Any]", message))
        return answer

    def _remember(self, message: dict[str, Any]) -> None:
        made: list[dict[str, Any]] = [call for call in message.get("tool_calls") or () if isinstance(call, dict)]
        for fields in (message, *made):
            self._returned |= {name for name in RETURNED_FIELDS if fields.get(name) is not None}
        if message.get("reasoning_content") is not None:
            self._thoughts.update({str(call.get("id")): message["reasoning_content"] for call in made})


@contextmanager
def listening(providers: Mapping[str, StrictProvider]) -> Generator[str]:
    """Serve providers on loopback, each for the model of its name; gives the base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(next(iter(providers.values())).answer("GET", self.path, b""))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(providers[json.loads(body)["model"]].answer("POST", self.path, body))

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()
