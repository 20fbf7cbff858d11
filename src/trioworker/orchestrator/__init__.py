"""The embedded orchestrator (extra: local): HTTP API, store, LLM backends and web page."""
