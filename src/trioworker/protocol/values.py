"""Validation of values that a user gives, on the command line or in a program.

Each function returns the value, or raises `ValueError` with a description of a valid one, to complete "VALUE is not".
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

TOKEN_VARIABLE = "IRONCLAW_WORKER_TOKEN"  # noqa: S105 - the name of a variable, not a password
"""The environment variable that holds the job's bearer token (contract, 'How a worker is started')."""

START_HEADER = "X-Trioworker-Start"
"""The header that identifies one start of a worker by 32 random hex digits (contract, 'Starts')."""

ITERATION_HEADER = "X-Trioworker-Iteration"
"""The header of requests to the model that has the iteration of the job: only every fifth one sends a status."""

MAX_SOCKET_PATH_BYTES = 107
"""The limit of a Unix socket's path: `sun_path` has 108 bytes, including the final NUL (unix(7))."""
MAX_SECONDS = 7 * 24 * 3600
"""The longest time limit: a week."""


def job_id(value: object) -> str:
    """A UUID as text, unchanged."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value):
        raise ValueError("a UUID, such as 123e4567-e89b-12d3-a456-426614174000")
    return value


def http_url(value: object) -> str:
    """An http or https URL with a host, to which a path can be appended.

    A URL with a user is refused: the user would replace the token in the Authorization header.
    """
    wanted = "an http:// or https:// URL with a host, and no user, query or fragment"
    if not isinstance(value, str):
        raise ValueError(wanted)
    try:
        parts = urlsplit(value)
        usable = (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        )
    except ValueError as error:
        raise ValueError(wanted) from error
    if not usable or not value.isprintable() or re.search(r"[\s?#]", value):
        raise ValueError(wanted)
    return value


def bearer_token(value: object) -> str:
    """A token that is valid in an HTTP header, stripped."""
    token = value.strip() if isinstance(value, str) else ""
    if not token or not (token.isascii() and token.isprintable()):
        raise ValueError("a token of printable ASCII characters")
    return token


def whole_number(value: object, minimum: int, maximum: int) -> int:
    """A whole number from `minimum` to `maximum`."""
    if type(value) is not int or not minimum <= value <= maximum:
        raise ValueError(f"a whole number from {minimum} to {maximum}")
    return value


def seconds(value: object) -> float:
    """A number of seconds over 0, at most `MAX_SECONDS`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_SECONDS:
        raise ValueError(f"a number of seconds over 0, at most {MAX_SECONDS}")
    return value


def monotonic_seconds(value: object) -> float:
    """A time of CLOCK_MONOTONIC, which starts at 0 when the machine boots."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError("a number of seconds, such as 1234.5")
    return value


def variable_name(value: object) -> str:
    """The name of an environment variable."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError("a name of a variable, such as PGHOST")
    return value


def path(value: object) -> Path:
    """A path, which need not exist."""
    if not isinstance(value, str | Path) or not value or "\0" in str(value):
        raise ValueError("a path")
    return Path(value)


def absolute_path(value: object) -> Path:
    """A path, made absolute by the current folder."""
    return path(value).absolute()


def socket_path(value: object) -> Path:
    """A path short enough for a Unix socket. A relative one stays relative, since it is shorter."""
    wanted = f"a path of at most {MAX_SOCKET_PATH_BYTES} bytes, the limit of a Unix socket"
    try:
        usable = len(os.fsencode(path(value))) <= MAX_SOCKET_PATH_BYTES
    except ValueError as error:
        raise ValueError(wanted) from error
    if not usable:
        raise ValueError(wanted)
    return path(value)


def alternatives(*choices: str) -> str:
    """The choices as they are listed in a sentence: `a, b or c`."""
    *others, last = choices
    return f"{', '.join(others)} or {last}"


def one_of(value: object, *choices: str) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(alternatives(*choices))
    return value
