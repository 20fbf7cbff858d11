"""How fast the journal takes records, in a process of its own.

`python -m benchmarks.journal_pace DIR plain|synced N RUNS` prints appends a second, the journal's and those of bare
system calls with the same bytes, run by run.
"""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec
import trio
from loguru import logger

from trioworker.worker.state.journal import encode_frame
from trioworker.worker.state.journal_file import open_journal
from trioworker.worker.state.records import CallEnded, EventQueued

if TYPE_CHECKING:
    from trioworker.worker.state.records import Record

SYNCED_SHARE = 20
"""A sync costs what many appends cost, so there are as many fewer of them."""
RECORDS: tuple[Record, ...] = (
    CallEnded(call_id="call_1_0", content="x" * 2000, output="x" * 2000, outcome="success"),
    EventQueued(path="event", body={"event_type": "tool_result", "data": {"tool_name": "shell", "output": "x" * 2000}}),
)
"""What the end of a call commits, with a result of ordinary size."""


async def main(folder: Path, option: str, count: int, runs: int) -> list[dict[str, float]]:
    """The rates of each run."""
    synced = option == "synced"
    count = max(1, count // SYNCED_SHARE) if synced else count
    return [
        {"journal": await journal_rate(folder, count, synced=synced), "write": write_rate(folder, count, synced=synced)}
        for _ in range(runs)
    ]


async def journal_rate(folder: Path, count: int, *, synced: bool) -> float:
    """Commits a second."""
    journal = open_journal(folder, str(uuid.uuid4()))
    try:
        began = perf_counter()
        for _ in range(count):
            journal.append(RECORDS)
            if synced:
                await journal.sync()
        return count / (perf_counter() - began)
    finally:
        journal.close()


def write_rate(folder: Path, count: int, *, synced: bool) -> float:
    """The same bytes, written by the bare calls."""
    frame = encode_frame(RECORDS)
    file = os.open(folder / str(uuid.uuid4()), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        began = perf_counter()
        for _ in range(count):
            os.write(file, frame)
            if synced:
                os.fdatasync(file)
        return count / (perf_counter() - began)
    finally:
        os.close(file)


if __name__ == "__main__":
    logger.remove()
    rates = trio.run(main, Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.write(msgspec.json.encode(rates).decode())
