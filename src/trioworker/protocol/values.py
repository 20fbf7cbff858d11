"""Values of the contract that come as text: the job's id, the orchestrator's URL, the bearer token.

Each function raises `ValueError` with what the value should be, to follow "is not".
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

TOKEN_VARIABLE = "IRONCLAW_WORKER_TOKEN"  # noqa: S105 - the variable's name
"""The environment variable that holds the job's bearer token (contract, 'How a worker is started')."""


def job_id(text: str) -> str:
    """A UUID, as it was written."""
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text):
        raise ValueError("a UUID, such as 123e4567-e89b-12d3-a456-426614174000")
    return text


def http_url(text: str) -> str:
    """An http or https URL with a host, to which paths can be added.

    A user in the URL is refused: it would replace the token in the Authorization header.
    """
    wanted = "an http:// or https:// URL with a host, and no user, query or fragment"
    try:
        parts = urlsplit(text)
        usable = (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        )
    except ValueError as error:
        raise ValueError(wanted) from error
    if not usable or not text.isprintable() or re.search(r"[\s?#]", text):
        raise ValueError(wanted)
    return text


def bearer_token(text: str) -> str:
    """A token that an HTTP header can carry, without the white space around it."""
    token = text.strip()
    if not token or not (token.isascii() and token.isprintable()):
        raise ValueError("a token of printable ASCII characters")
    return token
