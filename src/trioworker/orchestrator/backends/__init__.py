"""LLM backends: what answers the model requests of the embedded orchestrator."""
