"""The four actors of a job and the supervisor that restarts them."""
