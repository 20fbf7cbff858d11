"""The estimate of bytes per token, and the resulting limit in bytes."""

from __future__ import annotations

import pytest

from trioworker.protocol.limits import BYTES_PER_TOKEN
from trioworker.worker.state.context_limit import ContextLimit


def observed(*replies: tuple[int, int]) -> ContextLimit:
    limit = ContextLimit()
    for sent, tokens in replies:
        limit.observe(sent, tokens)
    return limit


def test_first_reply_replaces_the_guess() -> None:
    assert observed((32_000, 10_000)).bytes_per_token == pytest.approx(3.2)  # pyright: ignore[reportUnknownMemberType]


def test_later_replies_are_smoothed() -> None:
    assert 2.0 < observed((40_000, 10_000), (20_000, 10_000)).bytes_per_token < 4.0
    many = observed((40_000, 10_000), *[(20_000, 10_000)] * 20)
    assert many.bytes_per_token == pytest.approx(2.0, abs=0.01)  # pyright: ignore[reportUnknownMemberType]


@pytest.mark.parametrize(
    ("sent", "tokens"),
    [(40_000, 0), (40_000, 1), (40_000, 2**53), (0, 10_000), (0, 0), (40_000, 4_000)],
    ids=["absent", "one token", "huge", "several requests", "nothing", "ten bytes per token"],
)
def test_implausible_usage_is_ignored(sent: int, tokens: int) -> None:
    assert observed((sent, tokens)).bytes_per_token == BYTES_PER_TOKEN


@pytest.mark.parametrize(
    ("tokens", "cached"), [(1_000, 9_000), (5_000, 5_000), (10_000, 9_500)], ids=["beside", "half", "among"]
)
def test_cached_tokens_count_once_wherever_the_provider_counts_them(tokens: int, cached: int) -> None:
    limit = ContextLimit()
    limit.observe(33_000, tokens, cached)
    assert limit.bytes_per_token == pytest.approx(3.3)  # pyright: ignore[reportUnknownMemberType]


def test_request_leaves_room_for_the_reply() -> None:
    assert observed((30_000, 10_000)).request_bytes(100_000, 4_000) == 3 * 96_000


def test_reply_takes_only_a_part_of_a_small_limit() -> None:
    assert observed((30_000, 10_000)).request_bytes(8_000, 16_384) == 3 * 7_000


@pytest.mark.parametrize("stated", [None, 1, 5_000, 20_000, 1_000_000])
@pytest.mark.parametrize("max_tokens", [100, 16_384])
def test_next_request_after_a_refusal_is_at_most_three_quarters_as_long(stated: int | None, max_tokens: int) -> None:
    limit = observed((30_000, 10_000))
    limit.lowered = limit.limit_after_refusal(90_000, 100_000, max_tokens, stated)
    assert 0 <= limit.request_bytes(100_000, max_tokens) <= 0.76 * 90_000


def test_limit_stated_by_the_server_is_used() -> None:
    limit = ContextLimit()
    limit.lowered = limit.limit_after_refusal(400_000, 100_000, 4_096, 32_768)
    assert limit.limit(100_000) == 32_768
