"""Which requests a simulated orchestrator refuses, with the same status as the embedded orchestrator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.orchestrator.backends.base import LlmRequest
from trioworker.protocol import wire

if TYPE_CHECKING:
    from trioworker.testing.exchange import Exchange

MAX_BODY_BYTES = 2_097_152
"""The largest body that the orchestrator accepts (contract, 'HTTP')."""
METHODS = {
    "job": "GET",
    "credentials": "GET",
    "prompt": "GET",
    "status": "POST",
    "event": "POST",
    "llm/complete": "POST",
    "llm/complete_with_tools": "POST",
    "complete": "POST",
}
"""The methods of a worker's requests (contract, 'HTTP')."""
BODIES: dict[str, msgspec.json.Decoder[Any]] = {
    "status": msgspec.json.Decoder(wire.StatusUpdate),
    "event": msgspec.json.Decoder(wire.EventPost),
    "llm/complete": msgspec.json.Decoder(LlmRequest),
    "llm/complete_with_tools": msgspec.json.Decoder(LlmRequest),
    "complete": msgspec.json.Decoder(wire.CompletionReport),
}
"""Decoders of the bodies, which refuse invalid ones."""


def refusal_of_request(exchange: Exchange) -> tuple[int, bytes] | None:
    """The answer to a request that violates the contract, as status and body; None if it doesn't."""
    path = exchange.path
    if path not in METHODS:
        return 404, b"no such path"
    if exchange.method != METHODS[path]:
        return 405, b"method not allowed"
    if len(exchange.content) > MAX_BODY_BYTES:
        return 413, b"the body is too large"
    try:
        if path in BODIES:
            BODIES[path].decode(exchange.content)
    except msgspec.ValidationError as error:
        return 422, str(error).encode()
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return 400, str(error).encode()
    return None
