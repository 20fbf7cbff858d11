"""The client of the orchestrator: the contract's requests, retries, and HTTP."""
