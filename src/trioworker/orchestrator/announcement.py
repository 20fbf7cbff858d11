"""Prints the page's URL with its secret, where no job's command can read it."""

from __future__ import annotations

import os
import stat
import sys

from trioworker.observability.notices import print_notice


def print_secret_url(text: str, url: str, token: str, fragment: str = "") -> None:
    """Print `text` and the page's URL on stderr, with the token unless stderr is a file.

    A job's command can read the user's files, including a log file.
    """
    if _stderr_is_file():
        print_notice(f"{text} {url}/{fragment} (the token is left out: commands could read it in this file)")
    else:
        print_notice(f"{text} {url}/?token={token}{fragment}")


def _stderr_is_file() -> bool:
    try:
        return stat.S_ISREG(os.fstat(sys.stderr.fileno()).st_mode)
    except (OSError, ValueError):
        return False
