"""The runs of a cancel matrix: one without a cancel, one per checkpoint, and random ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.testing.matrix.errors import NondeterminismError
from trioworker.testing.matrix.plan import BODY, CancelPlan, PlannedCancel
from trioworker.testing.matrix.report import CancelMatrixReport, Failure, failure_of
from trioworker.testing.matrix.run import PlanResult, Program, run_plan
from trioworker.testing.matrix.shrink import random_plans, shrink

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_STEPS = 50_000
"""Steps after which the run without a cancel is considered endless. With more, the matrix would take hours."""
MIN_LIMIT = 10_000
"""Lower bound of the limit of steps for a run with a cancel."""
LIMIT_FACTOR = 20
"""The limit, as a multiple of the steps of the run without a cancel: cleanups and restarts take some."""
ADVICE = "the body depends on real time, on the order of a set, or on what an earlier run left"


class Matrix:
    """Makes the runs, and collects the failures."""

    def __init__(self, program: Program, scopes: tuple[str, ...], repeat: Callable[[str], str] | None) -> None:
        self._program = program
        self._names = scopes or (BODY,)
        self._repeat = repeat or self._call
        self._runs = 0
        self._checkpoints = 0
        self._failures: list[Failure] = []

    def run_only(self, plan: CancelPlan) -> CancelMatrixReport:
        """Run one plan."""
        result = self._run(plan)
        names = {cancel.name for cancel in plan.cancels} or set(self._names)
        self._checkpoints = sum(len(result.tasks[name]) for name in names)
        missed = [cancel for cancel in plan.cancels if cancel not in result.cancels]
        if result.error is not None:
            self._add(plan, result, result.error)
        elif missed:
            number = len(result.tasks[missed[0].name])
            self._add(plan, result, NondeterminismError(f"{missed[0]} was not reached: only {number} checkpoints"))
        return self._report()

    def run(self, seeds: int) -> CancelMatrixReport:
        """Make all runs."""
        plain = self._plain_run()
        if plain is None:
            return self._report()
        limit = max(MIN_LIMIT, LIMIT_FACTOR * plain.steps)
        for name in self._names:
            for number, task in enumerate(plain.tasks[name]):
                if not self._cancel_at(PlannedCancel(name, number), task, limit):
                    return self._report()
        for plan in random_plans(
            seeds, {name: len(plain.tasks[name]) for name in self._names}, several=self._names != (BODY,)
        ):
            self._run_random(plan, limit)
        return self._report()

    def _plain_run(self) -> PlanResult | None:
        """Make the run without a cancel twice, since both must be the same. Returns None if it failed."""
        plan = CancelPlan()
        first = self._run(plan)
        second = first if first.error is not None else self._run(plan)
        if first.tasks != second.tasks and first.error is None and second.error is None:
            # The first run may have filled caches.
            first, second = second, self._run(plan)
        error = first.error or second.error
        if error is None and first.tasks != second.tasks:
            numbers = [sum(len(result.tasks[name]) for name in self._names) for result in (first, second)]
            error = NondeterminismError(
                f"two runs without a cancel had {numbers[0]} and {numbers[1]} checkpoints: {ADVICE}"
            )
        self._checkpoints = sum(len(second.tasks[name]) for name in self._names)
        if error is not None:
            self._add(plan, second, error)
            return None
        self._check_names(second)
        return second

    def _check_names(self, plain: PlanResult) -> None:
        for name in self._names:
            if not plain.tasks[name]:
                scope = (
                    f"scope {name!r}: is there a cancel_target({name!r}) around it" if name else "body: does it wait"
                )
                where = ", and does `where` choose its tasks" if self._program.where is not None else ""
                raise ValueError(f"there is no checkpoint in the {scope}{where}?")

    def _cancel_at(self, cancel: PlannedCancel, task: str, limit: float) -> bool:
        """Cancel at a checkpoint of the plain run. Returns whether the same task was there again."""
        plan = CancelPlan(0, (cancel,))
        result = self._run(plan, limit)
        place = result.cancels.get(cancel)
        if place is None or place.task != task:
            now = "was not reached" if place is None else f"was reached by task {place.task}"
            error = NondeterminismError(
                f"{cancel} {now}, but was reached by task {task} in the run without a cancel: {ADVICE}"
            )
            self._failures.clear()
            self._add(plan, result, error)
            return False
        if result.error is not None:
            self._add(plan, result, result.error)
        return True

    def _run_random(self, plan: CancelPlan, limit: float) -> None:
        result = self._run(plan, limit)
        if result.error is None:
            return
        kind = type(result.error)
        shrunk = shrink(plan, lambda simpler: type(self._run(simpler, limit).error) is kind)
        if all(failure.plan != str(shrunk) for failure in self._failures):
            result = result if shrunk == plan else self._run(shrunk, limit)
            self._add(shrunk, result, result.error or NondeterminismError(f"{shrunk} fails only sometimes: {ADVICE}"))

    def _run(self, plan: CancelPlan, limit: float | None = None) -> PlanResult:
        self._runs += 1
        return run_plan(self._program, plan, limit=MAX_STEPS if limit is None else limit)

    def _add(self, plan: CancelPlan, result: PlanResult, error: BaseException) -> None:
        cancel, place = next(reversed(result.cancels.items()), (None, None))
        number = cancel.number if cancel else None
        self._failures.append(failure_of(str(plan), number, place, error, self._repeat(str(plan))))

    def _call(self, plan: str) -> str:
        """The call of `cancel_matrix` that repeats a plan."""
        program = self._program
        words = [_name(program.body)]
        words += [f"invariant={_name(program.invariant)}"] if program.invariant else []
        words += [f"where={_name(program.where)}"] if program.where else []
        allowed = ", ".join(kind.__name__ for kind in program.allowed)
        words += [f"allowed=({allowed},)"] if allowed else []
        return f"cancel_matrix({', '.join(words)}, only={plan!r})"

    def _report(self) -> CancelMatrixReport:
        return CancelMatrixReport(checkpoints=self._checkpoints, runs=self._runs, failures=tuple(self._failures))


def _name(function: object) -> str:
    name = getattr(function, "__name__", "…")
    return "…" if name == "<lambda>" else name
