"""What every measure needs: who is compared, how often, where, and the runs in turns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self

from benchmarks.figures import UnmeasuredError
from benchmarks.plan import NOOP_FILE
from benchmarks.workers import RunningWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.control import Control
    from benchmarks.figures import Figure
    from benchmarks.overhead import Turns
    from benchmarks.plan import Plan
    from benchmarks.scale import Scale
    from benchmarks.workers import Contender, Run


class Bench:
    """The orchestrator, the contenders, the scale and the workspace of one run; a context that leaves no worker."""

    def __init__(self, control: Control, contenders: Sequence[Contender], scale: Scale, workspace: Path) -> None:
        self.control = control
        self.contenders = contenders
        self.scale = scale
        self.workspace = workspace
        self.turns: dict[tuple[str, int, int], Turns] = {}
        """By contender, run and delay in ms: two measures look at the same jobs."""
        self._started: list[RunningWorker] = []
        (workspace / NOOP_FILE).touch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever ends the benchmark ends its workers: without an orchestrator they would try for minutes."""
        for worker in self._started:
            worker.kill()

    def start(self, contender: Contender, plan: Plan, variables: Mapping[str, str] | None = None) -> RunningWorker:
        """Start a worker on a job."""
        worker = RunningWorker(contender, plan, self.control, self.workspace, variables or {})
        self._started.append(worker)
        return worker

    def run(self, contender: Contender, plan: Plan, variables: Mapping[str, str] | None = None) -> Run:
        """Run a job to its end.

        Raises:
            UnmeasuredError: it did not end well.
        """
        return self.start(contender, plan, variables).ended()

    def in_turns(
        self,
        figures: Iterable[Figure],
        once: Callable[[Contender, int], None],
        *,
        others: Mapping[str, Callable[[], None]] | None = None,
        runs: int | None = None,
    ) -> None:
        """Have `once` add to the figures for each contender, and `others` for who is none: A B A B.

        Who can't be measured once is left out from there on, with the reason.
        """
        figures = list(figures)
        failed: set[str] = set()
        for number in range(runs or self.scale.runs):
            turns: dict[str, Callable[[], None]] = {one.name: partial(once, one, number) for one in self.contenders}
            for name, turn in {**turns, **(others or {})}.items():
                if name in failed:
                    continue
                try:
                    turn()
                except UnmeasuredError as error:
                    failed.add(name)
                    for figure in figures:
                        figure.give_up(name, str(error))
