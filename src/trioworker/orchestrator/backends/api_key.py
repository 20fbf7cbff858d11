"""The API key of a model server, which is in an environment variable."""

from __future__ import annotations

import difflib
import os
import re

from trioworker.errors import ConfigError
from trioworker.linux.environment_block import wipe_variables
from trioworker.linux.syscalls import forbid_inspection
from trioworker.protocol.values import bearer_token

API_KEY_VARIABLE = "OPENAI_API_KEY"
"""The variable with the key, unless `--api-key-env` names another one."""


def read_api_key(variable: str | None = None) -> str:
    """The key in `variable`, or in `OPENAI_API_KEY` if that is set. Empty if there is none.

    Raises:
        ConfigError: `variable` isn't the name of a variable or isn't set, or an HTTP header can't contain the key.
    """
    key = os.environ.get(variable or API_KEY_VARIABLE, "").strip()
    if variable is not None and not key:
        raise ConfigError(_missing(variable))
    try:
        return bearer_token(key) if key else ""
    except ValueError as error:
        raise ConfigError(f"{variable or API_KEY_VARIABLE} is not {error}; correct the API key") from error


def hide_secrets(variable: str | None) -> None:
    """Keep commands of the same user from reading the key, once it was read, and other secrets in our memory.

    A command of root can read our environment nevertheless (Linux 6.15: CAP_PERFMON), so the key leaves it.
    """
    wipe_variables([API_KEY_VARIABLE, *([variable] if variable else [])])
    forbid_inspection()


def _missing(variable: str) -> str:
    # The key itself may have been given by mistake, so only what looks like a name is quoted.
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]{,60}", variable):
        return "--api-key-env: no such variable; give the name of the variable, not the key: --api-key-env GROQ_API_KEY"
    near = difflib.get_close_matches(variable, os.environ, 1, 0.8)
    meant = f" (did you mean {near[0]}?)" if near else ""
    return f"--api-key-env: the variable {variable} is not set{meant}; set it to the API key"
