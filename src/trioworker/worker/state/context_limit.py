"""How many bytes a request may have, from the limit in tokens and the bytes per token that the replies show.

Only records change it, so a restart and a replay compute the same sizes.
"""

from __future__ import annotations

import math

from trioworker.protocol.limits import BYTES_PER_TOKEN

SMOOTHING = 0.5
"""The weight of the latest reply. Most of a request repeats the one before, so the ratio changes slowly."""
PLAUSIBLE = (1.0, 8.0)
"""Bytes per token of real tokenizers, from Chinese or base64 to indented code. Providers also report 0 or nonsense."""
MAX_REPLY_SHARE = 1 / 8
"""The maximum share of the limit that is reserved for the reply."""
RETRY_SHARE = 0.75
"""The size of the next request, relative to one that the model server refused as too long."""


class ContextLimit:
    """The limit of a request and its reply, and the estimate of bytes per token.

    Attributes:
        bytes_per_token: the current estimate.
        lowered: the limit in tokens after the model server refused a request; None before.
    """

    def __init__(self) -> None:
        self.bytes_per_token = float(BYTES_PER_TOKEN)
        self.lowered: int | None = None
        self._observed = False

    def observe(self, sent: int, tokens: int, cached: int = 0) -> None:
        """Adapt the estimate to a request of `sent` bytes that had `tokens` tokens. Ignores implausible counts.

        Some providers include `cached` in `tokens`, and some don't: the ratio closer to the estimate is used.
        """
        ratios = [sent / count for count in (tokens, tokens + cached) if tokens]
        plausible = [ratio for ratio in ratios if PLAUSIBLE[0] <= ratio <= PLAUSIBLE[1]]
        if not plausible:
            return
        seen = min(plausible, key=lambda ratio: abs(math.log(ratio / self.bytes_per_token)))
        # The first reply replaces the guess.
        weight = SMOOTHING if self._observed else 1.0
        self.bytes_per_token += weight * (seen - self.bytes_per_token)
        self._observed = True

    def tokens(self, size: int) -> int:
        """The tokens of `size` bytes."""
        return round(size / self.bytes_per_token)

    def limit(self, configured: int) -> int:
        """The limit in tokens of a request and its reply, given the `configured` one."""
        return configured if self.lowered is None else min(configured, self.lowered)

    def request_bytes(self, configured: int, max_tokens: int) -> int:
        """The bytes that a request may have, with room for a reply of `max_tokens`."""
        limit = self.limit(configured)
        return int((limit - min(max_tokens, limit * MAX_REPLY_SHARE)) * self.bytes_per_token)

    def limit_after_refusal(self, refused: int, configured: int, max_tokens: int, stated: int | None) -> int:
        """The limit from now on, in tokens, after a request of `refused` bytes was refused as too long.

        `stated` is the limit that the server gave. Only a smaller one counts, since the estimate may be wrong.
        """
        goal = self.tokens(int(refused * RETRY_SHARE))
        enough = goal + min(max_tokens, goal * MAX_REPLY_SHARE / (1 - MAX_REPLY_SHARE))
        return max(1, min(self.limit(configured), int(enough), stated or int(enough)))
