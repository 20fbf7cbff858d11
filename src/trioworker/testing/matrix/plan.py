"""What one run of a cancel matrix does: its scheduling seed and its cancels, and their text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

BODY = ""
"""The name of the scope around the whole body."""

_WORD = re.compile(r"cancel:(?:(?P<name>\S+):)?(?P<number>\d+)|seed:(?P<seed>\d+)")


class PlannedCancel(NamedTuple):
    """Cancels the scope `name` at its checkpoint `number`, counted from 0. `BODY` is the whole body."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"cancel:{self.name}:{self.number}" if self.name else f"cancel:{self.number}"


@dataclass(frozen=True)
class CancelPlan:
    """The plan of one run. Its text, such as `seed:7 cancel:37 cancel:reader:12`, repeats the run."""

    seed: int = 0
    cancels: tuple[PlannedCancel, ...] = ()

    def __str__(self) -> str:
        words = [f"seed:{self.seed}"] if self.seed or not self.cancels else []
        return " ".join([*words, *map(str, self.cancels)])

    @classmethod
    def parse(cls, text: str) -> CancelPlan:
        """Read the text of a plan.

        Raises:
            ValueError: the text isn't a plan.
        """
        seed, cancels = 0, list[PlannedCancel]()
        for word in text.split():
            match = _WORD.fullmatch(word)
            if match is None:
                raise ValueError(
                    f"plan {text!r}: {word!r} is neither cancel:NUMBER nor cancel:NAME:NUMBER nor seed:NUMBER"
                )
            if match["seed"] is not None:
                seed = int(match["seed"])
            else:
                cancels.append(PlannedCancel(match["name"] or BODY, int(match["number"])))
        if not text.split():
            raise ValueError("the plan is empty: write cancel:NUMBER, cancel:NAME:NUMBER or seed:NUMBER")
        return cls(seed, tuple(cancels))
