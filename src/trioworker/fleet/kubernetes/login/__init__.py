"""Which cluster a fleet runs on, and how it logs in: by the rules of kubectl."""
