"""Random tokens: only their digests are kept and compared."""

from __future__ import annotations

import hashlib
import hmac
import secrets

TOKEN_BYTES = 32
"""Random bytes of a token: as many as its digest (SHA-256) has."""


def new_token() -> str:
    """A random token that is valid in a header, a URL and a cookie."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def digest_of(token: str) -> str:
    """The digest to keep in place of the token.

    A plain hash is enough: a token is random and as long as its digest.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def matches(token: str, digest: str | None) -> bool:
    """Whether `digest` is that of `token`. The time taken doesn't depend on it, nor on whether there is a digest."""
    same = hmac.compare_digest(digest_of(token), digest or "0" * 64)
    return same and digest is not None
