"""Run the reference job with faults: a cancel at each await of each actor, and plans of random faults."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from chaos.reference import reference_job
from trioworker.testing import Plan, assert_invariants, cancel_points, check_plans, random_plans, shrink, simulate

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for. Returns 1 if an invariant was broken."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, metavar="N", help="number of random plans (default 200)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="first seed (default 0)")
    parser.add_argument("--no-matrix", action="store_true", help="don't cancel each actor at each of its awaits")
    parser.add_argument(
        "--plan", metavar="PLAN", help="run only this plan, as a failure prints it: '7 cut:12 kill:40:50:1'"
    )
    options = parser.parse_args(arguments)
    if options.plan is not None:
        try:
            return _run_one(Plan.parse(options.plan))
        except ValueError as error:
            parser.error(f"--plan: {error}")
    failures = 0
    if not options.no_matrix:
        failures += _run_many("cancel matrix", "(actor, await) pairs", cancel_points(reference_job))
    seeds = range(options.first, options.first + options.seeds)
    failures += _run_many("seeds", "plans", random_plans(reference_job, seeds))
    return 1 if failures else 0


def _run_one(plan: Plan) -> int:
    try:
        assert_invariants(simulate(reference_job, plan))
    except AssertionError as error:
        print(error)
        return 1
    print("all invariants hold")
    return 0


def _run_many(name: str, unit: str, plans: list[Plan]) -> int:
    began = time.perf_counter()
    failures = 0
    for checked in check_plans(reference_job, plans):
        if checked.broken:
            failures += 1
            smallest = shrink(reference_job, checked.plan)
            print(f"{checked.broken[0].splitlines()[0]}\n  repeat: scripts/chaos --plan '{smallest}'", flush=True)
    seconds = time.perf_counter() - began
    print(f"{name}: {len(plans)} {unit}, {len(plans) - failures} hold, {failures} don't, {seconds:.1f} s", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(main())
