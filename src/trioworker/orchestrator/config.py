"""The configuration of `trioworker orchestrator`."""

from __future__ import annotations

from pathlib import Path

import msgspec


class OrchestratorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Options of `trioworker orchestrator`. Without `llm`, LLM requests are answered 422."""

    host: str = "127.0.0.1"
    port: int = 50051
    database: Path | None = None
    llm: str | None = None
    model: str | None = None
    api_key_variable: str | None = None
    """The variable with the key of the model server; None is `OPENAI_API_KEY`."""
    admin_token: str | None = None
    """The secret for managing jobs; a random one if None."""

    def __repr__(self) -> str:
        return f"OrchestratorConfig(host={self.host!r}, port={self.port!r})"
