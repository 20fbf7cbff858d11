"""Validation of the contract's values that are given as text: the job's id, the orchestrator's URL, the bearer token.

Each function returns the value, or raises `ValueError` with a description of a valid one, to complete "VALUE is not".
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

TOKEN_VARIABLE = "IRONCLAW_WORKER_TOKEN"  # noqa: S105 - the name of a variable, not a password
"""The environment variable that holds the job's bearer token (contract, 'How a worker is started')."""

START_HEADER = "X-Trioworker-Start"
"""The header that identifies one start of a worker by 32 random hex digits (contract, 'Starts')."""

ITERATION_HEADER = "X-Trioworker-Iteration"
"""The header of requests to the model that has the iteration of the job: only every fifth one sends a status."""


def job_id(text: str) -> str:
    """A UUID, unchanged."""
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text):
        raise ValueError("a UUID, such as 123e4567-e89b-12d3-a456-426614174000")
    return text


def http_url(text: str) -> str:
    """An http or https URL with a host, to which a path can be appended.

    A URL with a user is refused: the user would replace the token in the Authorization header.
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
    """A token that is valid in an HTTP header, stripped."""
    token = text.strip()
    if not token or not (token.isascii() and token.isprintable()):
        raise ValueError("a token of printable ASCII characters")
    return token
