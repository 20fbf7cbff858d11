"""The contract's requests to the orchestrator, with their retries and their HTTP."""
