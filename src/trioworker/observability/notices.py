"""Notices to the person at the terminal."""

from __future__ import annotations

import sys
from contextlib import suppress


def print_notice(text: str) -> None:
    """Print one line to stderr; a closed stderr is ignored."""
    with suppress(OSError):
        sys.stderr.write(f"trioworker: {text}\n")
        sys.stderr.flush()
