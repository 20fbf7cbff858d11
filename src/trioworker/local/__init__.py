"""The embedded orchestrator and its LLM backends (extra: `local`)."""
