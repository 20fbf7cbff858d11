"""Many jobs at once on one embedded orchestrator."""
