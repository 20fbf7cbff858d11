"""HTTP to the orchestrator: one exchange at a time, over connections that are kept."""
