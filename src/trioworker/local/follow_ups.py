"""Follow-up prompts that the person at the terminal types."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from trioworker.observability.notices import print_notice
from trioworker.protocol.wire import Prompt

if TYPE_CHECKING:
    from trioworker.orchestrator.store import Store


def add_prompt(store: Store, job_id: str, line: str) -> None:
    """Queue a line as a follow-up prompt; say so if that fails."""
    try:
        if not store.add_prompt(job_id, Prompt(content=line.replace("\0", ""))):
            print_notice("the job has ended; the line was not delivered")
    except sqlite3.OperationalError as error:
        print_notice(f"{error}; the line was not delivered, type it again")
