"""Plans: a seed and a few faults, written as one line that repeats the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from trioworker.testing.faults import Fault
from trioworker.testing.simulation.notation import format_fault, parse_fault

if TYPE_CHECKING:
    from trioworker.testing.simulation.planned_faults import PlannedFault

FaultT = TypeVar("FaultT", bound="PlannedFault")


@dataclass(frozen=True)
class Plan:
    """What happens in a run. `str` writes it as one line, such as `7 cut:12 kill:40:50:1`, which `parse` reads.

    Attributes:
        seed: the seed for everything random: the order of tasks and the jitter between retries.
        faults: the faults.

    Raises:
        ValueError: a fault has headers or a body, which the line can't hold.
    """

    seed: int = 0
    faults: tuple[PlannedFault, ...] = ()

    def __post_init__(self) -> None:
        for fault in self.all_of(Fault):
            if fault.headers or (fault.kind == "status" and fault.body != Fault.status(fault.code).body):
                raise ValueError(f"a plan can't repeat a fault with headers or a body of its own: {fault!r}")

    def __str__(self) -> str:
        return " ".join([str(self.seed), *map(format_fault, self.faults)])

    @staticmethod
    def parse(text: str) -> Plan:
        """The plan that a line describes.

        Raises:
            ValueError: the line is not a plan.
        """
        seed, *faults = text.split() or [""]
        if not seed.removeprefix("-").isdecimal():
            raise ValueError(f"a plan starts with its seed, as in '7 cut:12 kill:40:50:1': {text!r}")
        return Plan(int(seed), tuple(map(parse_fault, faults)))

    def of(self, *kinds: type[PlannedFault]) -> bool:
        """Whether the plan has a fault of one of these kinds."""
        return any(isinstance(fault, kinds) for fault in self.faults)

    def all_of(self, *kinds: type[FaultT]) -> list[FaultT]:
        """The faults of these kinds."""
        return [fault for fault in self.faults if isinstance(fault, kinds)]
