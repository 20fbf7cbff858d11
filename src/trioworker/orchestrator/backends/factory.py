"""Opens the backend that `--llm` names."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from trioworker.errors import ConfigError
from trioworker.orchestrator.backends.api_key import API_KEY_VARIABLE, read_api_key
from trioworker.orchestrator.backends.base import LlmRefusedError

if TYPE_CHECKING:
    from trioworker.orchestrator.backends.base import Backend, LlmRequest
    from trioworker.protocol.wire import Reply

SPEC_FORMS = "script:FILE, openai or openai:BASE_URL"
BASE_URL_VARIABLE = "OPENAI_BASE_URL"
"""The variable with the URL of `--llm openai`."""
DEFAULT_BASE_URL = "https://api.openai.com/v1"


def open_backend(spec: str, model: str | None = None, *, api_key_variable: str | None = None) -> Backend:
    """Open the backend that `spec` names: `script:FILE`, `openai` or `openai:BASE_URL`.

    `api_key_variable` names the variable with the key of an `openai` server; None is `OPENAI_API_KEY`, where a key is
    optional.

    Raises:
        ConfigError: the spec has another form, or its script, URL or key is invalid.
    """
    kind, colon, rest = spec.partition(":")
    # Import only the libraries that are needed: a YAML parser or an HTTP client.
    if kind == "script" and rest:
        from trioworker.orchestrator.backends.script_file import ScriptBackend, load_turns

        path = Path(rest)
        return ScriptBackend(load_turns(path), path.name)
    if spec == "openai" or (kind == "openai" and rest):
        from trioworker.orchestrator.backends.openai import OpenAIBackend

        source, url = ("--llm", rest) if colon else _server_of_variable(api_key_variable)
        return OpenAIBackend(url, model, api_key_variable=api_key_variable, url_source=source)
    raise ConfigError(f"--llm {spec}: not a model; use {_meant(spec)}")


def _server_of_variable(api_key_variable: str | None) -> tuple[str, str]:
    """The variable with the URL of the server, and the URL; OpenAI's if the variable isn't set."""
    if url := os.environ.get(BASE_URL_VARIABLE, "").strip():
        return BASE_URL_VARIABLE, url
    if not read_api_key(api_key_variable):
        raise ConfigError(
            f"--llm openai: {API_KEY_VARIABLE} is not set; set it to a key of OpenAI, or use --llm openai:BASE_URL "
            "for another server"
        )
    return "--llm", DEFAULT_BASE_URL


def _meant(spec: str) -> str:
    """The spec that is probably meant, or all forms."""
    if spec.startswith(("http://", "https://")):
        return f"openai:{spec}"
    if spec.endswith((".yaml", ".yml", ".json")) and ":" not in spec:
        return f"script:{spec}"
    kind, _, rest = spec.partition(":")
    near = difflib.get_close_matches(kind.lower(), ("openai", "script"), 1)
    return f"{near[0]}:{rest}" if near and rest else SPEC_FORMS


class NoBackend:
    """The backend without `--llm`: fails each request with an error that says what to do."""

    async def complete(self, _: LlmRequest, /) -> Reply:
        """Raise `LlmRefusedError`: retries can't help without a model."""
        raise LlmRefusedError(f"this orchestrator has no model; start it with --llm {SPEC_FORMS}")

    async def aclose(self) -> None:
        """Nothing to close."""
