"""The four actors of a job, each a loop over its state."""
