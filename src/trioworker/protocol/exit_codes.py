"""Exit codes: what a worker process tells whatever started it."""

from __future__ import annotations

SUCCEEDED, FAILED, BAD_USAGE, NO_ORCHESTRATOR, STOPPED, UNREPORTED, DIVERGED = range(7)
"""The job succeeded; failed and was reported; bad usage or configuration; the orchestrator refused the worker or can't be
reached; stopped by a signal and reported; the end of the job could not be reported; a replay differs from its recording.
"""
