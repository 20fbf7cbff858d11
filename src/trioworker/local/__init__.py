"""`trioworker local`: one job with an embedded orchestrator and a worker process (extra: `local`)."""
