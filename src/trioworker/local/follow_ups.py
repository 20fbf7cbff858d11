"""Follow-up prompts that the person at the terminal types."""

from __future__ import annotations

import math
import sqlite3
from typing import TYPE_CHECKING

import trio

from trioworker.observability.notices import print_notice
from trioworker.orchestrator.database import DatabaseLockedError, unlocked
from trioworker.protocol.wire import Prompt

if TYPE_CHECKING:
    from trioworker.orchestrator.store import Store


class FollowUps:
    """Queues lines as follow-up prompts of a job, in order, even while another process locks the database."""

    def __init__(self, store: Store, job_id: str) -> None:
        self._store = store
        self._job_id = job_id
        self._send, self._receive = trio.open_memory_channel[str](math.inf)

    def add(self, line: str) -> None:
        """Add a line. It is delivered by `run`."""
        self._send.send_nowait(line)

    async def run(self) -> None:
        """Deliver lines until cancelled; say so if one can't be delivered."""
        async for line in self._receive:
            prompt = Prompt(content=line.replace("\0", ""))
            try:
                if not await unlocked(self._store.add_prompt, self._job_id, prompt):
                    print_notice("the job has ended; the line was not delivered")
            except (sqlite3.OperationalError, DatabaseLockedError) as error:
                print_notice(f"{error}; the line was not delivered, type it again")
