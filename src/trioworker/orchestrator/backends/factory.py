"""Opens the backend that `--llm` names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trioworker.errors import ConfigError
from trioworker.orchestrator.backends.base import LlmRefusedError

if TYPE_CHECKING:
    from trioworker.orchestrator.backends.base import Backend, LlmRequest
    from trioworker.protocol.wire import Reply

SPEC_FORMS = "script:FILE or openai:BASE_URL"
API_KEY_VARIABLE = "OPENAI_API_KEY"
"""The variable with the key of an `openai:` server."""


def open_backend(spec: str, model: str | None = None) -> Backend:
    """Open the backend that `spec` names: `script:FILE` or `openai:BASE_URL`.

    Raises:
        ConfigError: the spec has another form, or its script or URL is invalid.
    """
    kind, colon, rest = spec.partition(":")
    if not colon or not rest:
        raise ConfigError(f"--llm {spec}: not a model; use {SPEC_FORMS}")
    # Import only the libraries that are needed: a YAML parser or an HTTP client.
    if kind == "script":
        from trioworker.orchestrator.backends.script_file import ScriptBackend, load_turns

        path = Path(rest)
        return ScriptBackend(load_turns(path), path.name)
    if kind == "openai":
        from trioworker.orchestrator.backends.openai import OpenAIBackend

        return OpenAIBackend(rest, model)
    raise ConfigError(f"--llm {spec}: unknown kind '{kind}'; use {SPEC_FORMS}")


class NoBackend:
    """The backend without `--llm`: fails each request with an error that says what to do."""

    async def complete(self, _: LlmRequest, /) -> Reply:
        """Raise `LlmRefusedError`: retries can't help without a model."""
        raise LlmRefusedError(f"this orchestrator has no model; start it with --llm {SPEC_FORMS}")

    async def aclose(self) -> None:
        """Nothing to close."""
