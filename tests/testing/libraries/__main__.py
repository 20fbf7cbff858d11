"""Prints the table of docs/chaos-findings.md: `scripts/library-matrix`."""

from __future__ import annotations

import argparse
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from support.library_scenarios import errors_in

if TYPE_CHECKING:
    from support.library_scenarios import Scenario
    from trioworker.testing import CancelMatrixReport


def main() -> None:
    """Run all scenarios."""
    description = "Run the cancel matrix over third-party libraries."
    parser = argparse.ArgumentParser(prog="scripts/library-matrix", description=description)
    parser.add_argument("--failures", action="store_true", help="name each failure")
    with_failures = parser.parse_args().failures
    runs: dict[tuple[str, str], list[tuple[Scenario, CancelMatrixReport]]] = defaultdict(list)
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        for scenario in import_module(f"testing.libraries.{file.stem}").SCENARIOS:
            runs[scenario.library, scenario.version].append((scenario, scenario.run()))
    print("| library | version | programs | checkpoints | failing | defects |")
    print("|---|---|---|---|---|---|")
    for (library, version), results in runs.items():
        checkpoints = sum(report.checkpoints for _, report in results)
        failures = sum(len(report.failures) for _, report in results)
        defects = len({each.defect for each, _ in results if each.defect})
        print(f"| {library} | {version} | {len(results)} | {checkpoints} | {failures} | {defects} |")
        if with_failures:
            print_failures(results)


def print_failures(results: list[tuple[Scenario, CancelMatrixReport]]) -> None:
    """Name each failure and its place."""
    for scenario, report in results:
        for failure in report.failures:
            place = failure.file.split("site-packages/")[-1]
            print(f"{scenario} {failure.number} {failure.task} {place}:{failure.line} {errors_in(failure.error)}")


if __name__ == "__main__":
    main()
