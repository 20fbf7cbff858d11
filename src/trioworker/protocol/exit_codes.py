"""The exit codes of a worker process."""

from __future__ import annotations

SUCCEEDED, FAILED, BAD_USAGE, NO_ORCHESTRATOR, STOPPED, UNREPORTED, DIVERGED, INTERRUPTED = range(8)
"""In this order: the job succeeded; it failed and was reported; bad usage or configuration; the orchestrator refused
the worker or can't be reached, or the job was suspended or released; the job was stopped by a signal and reported; the
outcome could not be reported; a replay differs from its recording; the worker of `local` died repeatedly, and the job's
state is kept.
"""
