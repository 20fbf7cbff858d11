"""The choice of a backend by `--llm`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trioworker.errors import ConfigError
from trioworker.orchestrator.backends.base import LlmError

if TYPE_CHECKING:
    from trioworker.orchestrator.backends.base import Backend, LlmRequest
    from trioworker.protocol.wire import Reply

SPEC_FORMS = "script:FILE or openai:BASE_URL"


def open_backend(spec: str, model: str | None = None) -> Backend:
    """The backend that `spec` names, `script:FILE` or `openai:BASE_URL`.

    Raises:
        ConfigError: no such form, an unusable script, or a URL that is none.
    """
    kind, colon, rest = spec.partition(":")
    if not colon or not rest:
        raise ConfigError(f"--llm {spec}: not a model; use {SPEC_FORMS}")
    # Each backend's libraries are loaded for its own sake alone: YAML for the one, an HTTP client for the other.
    if kind == "script":
        from trioworker.orchestrator.backends.script_file import ScriptBackend

        return ScriptBackend(Path(rest))
    if kind == "openai":
        from trioworker.orchestrator.backends.openai import OpenAIBackend

        return OpenAIBackend(rest, model)
    raise ConfigError(f"--llm {spec}: unknown kind '{kind}'; use {SPEC_FORMS}")


class NoBackend:
    """Stands where no `--llm` was given: every request is refused with the remedy."""

    async def complete(self, _: LlmRequest, /) -> Reply:
        """Refuse."""
        raise LlmError(f"this orchestrator has no model; start it with --llm {SPEC_FORMS}")

    async def aclose(self) -> None:
        """Nothing to close."""
