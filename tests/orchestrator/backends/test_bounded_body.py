"""Bodies of a model server: their size, and what they decompress to."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest
import trio

from trioworker.orchestrator.backends.base import LlmError, LlmRefusedError, LlmRequest
from trioworker.orchestrator.backends.bounded_body import BodyError, BodyTooLongError, read_body
from trioworker.orchestrator.backends.openai import OpenAIBackend
from trioworker.protocol.limits import MAX_LLM_REPLY_BYTES, MIB
from trioworker.protocol.wire import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ASK = LlmRequest(messages=(Message(role="user", content="go"),))
LIMIT = 1000


class Pieces(httpx.AsyncByteStream):
    """A body that arrives in pieces."""

    def __init__(self, body: bytes, size: int = 7) -> None:
        self._body, self._size = body, size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), self._size):
            await trio.lowlevel.checkpoint()
            yield self._body[start : start + self._size]


def response(body: bytes, encoding: str = "", size: int = 7) -> httpx.Response:
    headers = {"Content-Encoding": encoding} if encoding else {}
    return httpx.Response(200, stream=Pieces(body, size), headers=headers)


def bomb(size: int) -> bytes:
    """`size` bytes, compressed to a thousandth, without the checksum that ends them."""
    compressor = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    # After a full flush, nothing refers to what came before: the second piece may be repeated.
    first, second = (compressor.compress(b" " * MIB) + compressor.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + second * (size // MIB - 1)


@pytest.mark.parametrize("length", [0, 1, LIMIT])
@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "deflate"])
async def test_a_body_within_the_limit_is_read(encoding: str, length: int) -> None:
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)(b"x" * length)
    assert await read_body(response(packed, encoding), LIMIT) == b"x" * length


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate"])
async def test_a_body_over_the_limit_is_refused(encoding: str) -> None:
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)(b"x" * (LIMIT + 1))
    with pytest.raises(BodyTooLongError, match="more than 1000 bytes"):
        await read_body(response(packed, encoding), LIMIT)


@pytest.mark.parametrize(
    ("body", "encoding", "reason"),
    [
        (b"{}", "gzip", "it can't be decompressed"),
        (gzip.compress(b"x" * 100)[:-12], "gzip", "it ends too early"),
        (b"{}", "br", "Content-Encoding 'br', which was not requested"),
    ],
    ids=["not gzip", "cut", "another encoding"],
)
async def test_a_body_that_cannot_be_decompressed_is_an_error(body: bytes, encoding: str, reason: str) -> None:
    with pytest.raises(BodyError, match=reason):
        await read_body(response(body, encoding), LIMIT)


async def test_half_a_gigabyte_of_gzip_is_refused_in_little_memory() -> None:
    packed = bomb(500 * MIB)
    model = OpenAIBackend(
        "http://model.test/v1",
        "m",
        transport=httpx.MockTransport(lambda _: response(packed, "gzip", 64 * 1024)),
    )
    tracemalloc.start()
    try:
        with pytest.raises(LlmRefusedError, match=rf"too long: it has more than {MAX_LLM_REPLY_BYTES} bytes"):
            await model.complete(ASK)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        await model.aclose()
    assert peak < 4 * MAX_LLM_REPLY_BYTES


@pytest.mark.parametrize("values", [b"[],", b'{"a":0},', b"0,"])
async def test_a_response_of_millions_of_values_is_not_decoded(values: bytes) -> None:
    body = b'{"choices":[' + values * (8 * MIB // len(values)) + b"0]}"
    model = OpenAIBackend(
        "http://model.test/v1", "m", transport=httpx.MockTransport(lambda _: response(body, size=MIB))
    )
    with pytest.raises(LlmError, match="too many values"):
        await model.complete(ASK)
    await model.aclose()


async def test_arguments_of_millions_of_values_are_an_error_for_the_model() -> None:
    arguments = '{"a":[' + "[]," * MIB + "0]}"
    call = {"id": "1", "type": "function", "function": {"name": "shell", "arguments": arguments}}
    body = msgspec.json.encode({"choices": [{"message": {"content": None, "tool_calls": [call]}}]})
    model = OpenAIBackend(
        "http://model.test/v1", "m", transport=httpx.MockTransport(lambda _: response(body, size=MIB))
    )
    reply = await model.complete(ASK)
    await model.aclose()
    assert reply.tool_calls is not None
    assert "too many values" in str(reply.tool_calls[0].arguments_parse_error)
