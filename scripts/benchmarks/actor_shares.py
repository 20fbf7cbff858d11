"""The share of each actor in the samples of a worker.

Only the worker's own work on the job counts: the samples in which a task was running, from the first sample of an actor
to the last. Before and after that, the program is imported, and its main task opens or closes the job. The samples of
trio's loop belong to no task: those between two steps, and those in which it waits for events. Threads aren't sampled.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.sampled_worker import ACTOR_FILE, LOOP

from trioworker.worker.lifecycle import EXECUTOR, POLLER, REASONER, SHIPPER

if TYPE_CHECKING:
    from collections.abc import Sequence

ACTORS = (REASONER, EXECUTOR, SHIPPER, POLLER)
Record = tuple["Sequence[str]", float]
"""A sample as pyinstrument saves it: the stack from its root, and the seconds since the previous sample."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ActorShares:
    """Samples of a worker, and their time in seconds, by actor, or by the name of another task.

    Attributes:
        samples: their number.
        seconds: their time.
        loop: samples of trio's loop, without a task.
        before_and_after: samples before the first one of an actor, and after the last.
    """

    samples: Counter[str]
    seconds: dict[str, float]
    loop: int
    before_and_after: int

    @property
    def attributed(self) -> float:
        """The share of the samples that belong to an actor."""
        return sum(self.samples[actor] for actor in ACTORS) / max(1, self.samples.total())

    def __str__(self) -> str:
        """A table, and what it leaves out."""
        rows = [
            f"{name + ('' if name in ACTORS else ' (not an actor)'):<60} {self.samples[name]:>8} {seconds * 1000:>8.1f}"
            for name, seconds in sorted(self.seconds.items(), key=lambda item: -item[1])
        ]
        return "\n".join(
            [
                f"{'':<60} {'samples':>8} {'ms':>8}",
                *rows,
                f"{self.attributed:.1%} of {self.samples.total()} samples belong to an actor by name.",
                "The samples are those in which a task ran, from the first step of an actor to the last. Not counted:",
                f"{self.loop} in trio's loop; {self.before_and_after} while the program started, opened the job, "
                "closed it and exited.",
            ]
        )


def actor_shares(records: Sequence[Record]) -> ActorShares:
    """The shares in a session's records."""
    names = [_name(stack) for stack, _ in records]
    of_actors = [index for index, name in enumerate(names) if name in ACTORS]
    during = range(of_actors[0], of_actors[-1] + 1) if of_actors else range(0)
    samples, seconds = Counter(names[index] for index in during), dict.fromkeys(names, 0.0)
    for index in during:
        seconds[names[index]] += records[index][1]
    loop = samples.pop(LOOP, 0)
    counted = {name: seconds[name] for name in samples}
    return ActorShares(samples=samples, seconds=counted, loop=loop, before_and_after=len(records) - len(during))


def _name(stack: Sequence[str]) -> str:
    """The actor or task of a sample, or the loop for a sample outside any task."""
    parts = (frame.split("\0") for frame in stack)
    return next((name for name, file, *_ in parts if file == ACTOR_FILE), LOOP)
