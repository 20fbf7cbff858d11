"""Run the reference job with faults: a cancel at each await of each actor, and plans of random faults."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from loguru import logger

from chaos.plan import parse_plan, plan_from
from chaos.runner import cancel_matrix, check, check_all, shrink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.plan import Plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for. Returns 1 if an invariant was broken."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, metavar="N", help="number of random plans (default 200)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed (default 0)")
    parser.add_argument("--no-matrix", action="store_true", help="skip the cancel matrix")
    parser.add_argument(
        "--plan", metavar="PLAN", help="run one plan, as a failure prints it, and print the invariants that it breaks"
    )
    options = parser.parse_args(arguments)
    logger.remove()
    if options.plan is not None:
        return _run_one(parse_plan(options.plan))
    failures = 0
    if not options.no_matrix:
        failures += _run_many("cancel matrix", "(actor, await) pairs", cancel_matrix())
    plans = [plan_from(seed) for seed in range(options.first, options.first + options.seeds)]
    failures += _run_many("seeds", "plans", plans)
    return 1 if failures else 0


def _run_one(plan: Plan) -> int:
    broken = check(plan)
    print("\n".join(broken) or "all invariants hold")
    return 1 if broken else 0


def _run_many(name: str, unit: str, plans: list[Plan]) -> int:
    began = time.perf_counter()
    failures = 0
    for plan, broken in check_all(plans):
        if broken:
            failures += 1
            smallest = shrink(plan, lambda fewer: bool(check(fewer)))
            print(f"{broken[0].splitlines()[0]}\n  repeat: scripts/chaos --plan '{smallest}'", flush=True)
    held = len(plans) - failures
    print(
        f"{name}: {len(plans)} {unit}, {held} hold, {failures} don't, {time.perf_counter() - began:.1f} s", flush=True
    )
    return failures


if __name__ == "__main__":
    sys.exit(main())
