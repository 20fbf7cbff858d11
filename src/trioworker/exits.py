"""The exit codes, and how an error that a user can mend is told."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trioworker.errors import WorkerError

SUCCEEDED, FAILED, BAD_USAGE, NO_ORCHESTRATOR, STOPPED, UNREPORTED, DIVERGED = range(7)
"""The job succeeded; failed and was reported; bad usage; refused or unreachable; stopped by a signal; not reported; a
replay that was not the recorded job."""


def tell(error: WorkerError, code: int) -> int:
    """Write the error to stderr in one line, and return the exit code."""
    line = " ".join(str(error).split())
    sys.stderr.write(f"trioworker: {line}\n")
    return code
