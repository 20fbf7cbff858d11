"""LLM backends of the embedded orchestrator."""
