"""Reads the secret for managing jobs at an orchestrator, from a file or a variable."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from trioworker.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

ADMIN_TOKEN_VARIABLE = "TRIOWORKER_ORCHESTRATOR_ADMIN_TOKEN"  # noqa: S105 - the name of a variable, not a password
"""The variable with the secret, for `orchestrator` and for `fleet`."""
MIN_LENGTH = 16
"""Characters of the shortest secret: 64 bits as hexadecimal digits."""
MAX_BYTES = 4096

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""The characters of a bearer token (RFC 6750, 2.1)."""


def admin_token(option: str, file: Path | None) -> str | None:
    """The secret in `file`, else in the variable, which is wiped from our environment; None if there is neither.

    Args:
        option: the option that named the file, for errors.
        file: a file or a pipe.

    Raises:
        ConfigError: the file can't be read, or the secret isn't valid.
    """
    from trioworker.linux.environment_block import wipe_variables

    source, text = ADMIN_TOKEN_VARIABLE, os.environ.get(ADMIN_TOKEN_VARIABLE, "")
    wipe_variables([ADMIN_TOKEN_VARIABLE])
    if file is not None:
        source = f"{option} {file}"
        try:
            with file.open("rb") as stream:
                text = stream.read(MAX_BYTES).decode("ascii", "replace")
        except OSError as error:
            raise ConfigError(f"{source}: {error.strerror}; name a file with the secret") from error
    elif not text:
        return None
    token = text.strip()
    if len(token) < MIN_LENGTH or not _TOKEN.fullmatch(token):
        # The value is a secret, so the message doesn't quote it.
        raise ConfigError(
            f"{source}: the secret must have at least {MIN_LENGTH} characters: letters, digits and -._~+/="
        )
    return token
