"""Events: how many a second go through the shipper, and how many records a second the journal takes."""

from __future__ import annotations

import statistics
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.children import child_json
from benchmarks.figures import OURS, Figure, UnmeasuredError
from benchmarks.growth import CALLS_A_TURN
from benchmarks.plan import Plan, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench
    from benchmarks.workers import Contender

SECOND = 1e9
"""Nanoseconds."""
MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})
"""Where a sync has nothing to wait for."""
BARE_WRITE = "bare write"
"""Who the journal is held against: the same bytes by `os.write`, and `os.fdatasync` where there is a sync."""


def events(bench: Bench) -> Iterator[Figure]:
    """Shipping, without and with the journal, then the journal alone."""
    shipping = Figure(measure="events", name="shipped", unit="/s", more_is_better=True)
    journaled = Figure(measure="events", name="shipped, with a journal on disk", unit="/s", more_is_better=True)

    def once(contender: Contender, _: int) -> None:
        shipping.add(contender.name, _rate(bench, contender, {}))

    def once_with_journal(contender: Contender, _: int) -> None:
        if contender.name != OURS:
            raise UnmeasuredError("it has no journal")
        with tempfile.TemporaryDirectory() as folder:
            _refuse_memory(folder)
            journaled.add(OURS, _rate(bench, contender, {"TRIOWORKER_STATE_DIR": folder}))

    bench.in_turns([shipping], once)
    bench.in_turns([journaled], once_with_journal)
    yield from (shipping, journaled)
    for name, option in (("journal appends", "plain"), ("journal appends, each synced", "synced")):
        yield _appends(bench, name, option)


def _rate(bench: Bench, contender: Contender, variables: dict[str, str]) -> float:
    """Events a second, by the median time from one to the next: pauses with nothing to ship don't count."""
    wanted = bench.scale.event_calls
    turns = [Turn(calls=min(CALLS_A_TURN, wanted - made)) for made in range(0, wanted, CALLS_A_TURN)]
    came = bench.run(contender, Plan(turns=tuple(turns)), variables).log.of("event")
    if len(came) < 2 * wanted:
        raise UnmeasuredError(f"{len(came)} events came where {2 * wanted} were due")
    return SECOND / statistics.median(after.began - before.began for before, after in pairwise(came))


def _appends(bench: Bench, name: str, option: str) -> Figure:
    figure = Figure(measure="events", name=name, unit="/s", more_is_better=True, against=BARE_WRITE)
    try:
        with tempfile.TemporaryDirectory() as folder:
            if option == "synced":
                _refuse_memory(folder)
            arguments = (folder, option, str(bench.scale.appends), str(bench.scale.runs))
            for rates in child_json("journal_pace", *arguments, wanted=list[dict[str, float]]):
                figure.add(OURS, rates["journal"])
                figure.add(BARE_WRITE, rates["write"])
    except UnmeasuredError as error:
        figure.give_up(OURS, str(error))
    return figure


def _refuse_memory(folder: str) -> None:
    """Raises: UnmeasuredError: the folder is no disk's."""
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    above = [(point, kind) for point, kind in mounts if Path(folder).is_relative_to(point)]
    _, kind = max(above, key=lambda mount: len(mount[0]))
    if kind in MEMORY_FILE_SYSTEMS:
        raise UnmeasuredError(
            f"{tempfile.gettempdir()} is {kind}, where a sync is nothing; set TMPDIR to a disk's folder"
        )
