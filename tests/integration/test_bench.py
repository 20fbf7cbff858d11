"""`scripts/bench --quick`: measures work, missing figures have a reason, and ratios are checked."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.figures import Figure, record, recorded_ratios, regressions

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
BENCH_TIMEOUT = 600.0
"""Seconds; it takes 90."""
POLL_INTERVAL = 0.02
"""Seconds between two looks for a child process."""
COMMAND = (sys.executable, "-m", "benchmarks", "--quick")
STAND_IN = """
import os, pathlib, sys, time
if "worker" in sys.orig_argv:
    {action}
"""
"""A sitecustomize.py: what trioworker does instead of its job."""
FAIL = 'os.write(2, b"no worker\\n"); os._exit(7)'
HANG = "pathlib.Path(__file__).with_name(str(os.getpid()) + '.pid').touch(); time.sleep(300)"

Table = dict[str, dict[str, list[float]]]
"""Median, minimum and maximum, by figure and by subject."""


def environment(*first: Path) -> dict[str, str]:
    path = os.pathsep.join([*map(str, first), str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)}


def bench(*arguments: str | Path, first: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the benchmark with the Python that runs the tests; `first` are folders to import from first."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(*first),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BENCH_TIMEOUT,
        check=False,
    )


def table(shown: str) -> Table:
    """The printed values."""
    figures: Table = {}
    values: dict[str, list[float]] = {}
    for line in shown.splitlines():
        if heading := re.match(r"(\w+: .+) \[\S+\]", line):
            values = figures.setdefault(heading[1], {})
        elif row := re.match(r"  (\w+)((?: +[\d.,]+){3})(?:  |$)", line):
            values[row[1]] = [float(number.replace(",", "")) for number in row[2].split()]
    return figures


def test_measures_print_and_record_their_figures(tmp_path: Path) -> None:
    file = tmp_path / "recorded.json"

    # `scripts/test` measures the others, and compares their ratios.
    ended = bench("--only", "tracing", "--record", file)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.match(r"\d+ cores, load [\d.]+, Linux \S+, Python 3\.\d+", ended.stdout)
    assert "not measured" not in ended.stdout
    shown = table(ended.stdout)
    assert {key.partition(":")[0] for key in shown} == {"tracing"}
    for subjects in shown.values():
        assert {"trioworker", "untraced"} <= set(subjects)
        for median, least, most in subjects.values():
            assert least <= median <= most
    ratios = json.loads(file.read_bytes())["quick"]
    values = shown["tracing: CPU of a job"]
    assert ratios["tracing: CPU of a job"] == pytest.approx(values["trioworker"][0] / values["untraced"][0], rel=0.02)
    checked = json.loads((ROOT / "scripts/benchmarks/recorded.json").read_bytes())["quick"]
    assert {key for key in checked if key.startswith("tracing")} <= set(ratios)


def test_a_worker_that_fails_is_not_measured_and_a_regression(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(STAND_IN.format(action=FAIL))
    figure = "memory: peak RSS, 5 results of 100 KB"
    recorded = tmp_path / "recorded.json"
    recorded.write_text(json.dumps({"quick": {figure: 1.2}}))

    ended = bench("--only", "memory", "--check", recorded, first=(tmp_path,))

    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "  trioworker     not measured: exit code 7: no worker" in ended.stdout
    assert ended.stdout.endswith(f"regression: {figure}: recorded 1.200, not measured: exit code 7: no worker\n")
    assert set(table(ended.stdout)[figure]) == {"baseline", "imports"}


def figure(name: str, ratio: float, *, sleeps: bool = False) -> Figure:
    made = Figure(measure="overhead", name=name, unit="ms", sleeps=sleeps)
    made.add("trioworker", 10.0 * ratio)
    made.add("baseline", 10.0)
    return made


def test_only_a_ratio_over_twice_the_recorded_one_is_a_regression() -> None:
    recorded = {"overhead: same": 1.0, "overhead: worse": 1.0, "overhead: sleep": 1.0}
    figures = [figure("same", 1.9), figure("worse", 2.1), figure("sleep", 9.0, sleeps=True), figure("new", 9.0)]
    assert regressions(recorded, figures) == {"overhead: worse": "overhead: worse: ratio 2.100, recorded 1.000"}


def test_a_ratio_to_a_baseline_that_sleeps_is_not_recorded(tmp_path: Path) -> None:
    file = tmp_path / "recorded.json"
    record(file, "quick", [figure("work", 0.5), figure("sleep", 9.0, sleeps=True)])
    assert recorded_ratios(file, "quick") == {"overhead: work": 0.5}


def test_a_stopped_benchmark_leaves_no_worker(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(STAND_IN.format(action=HANG))
    command = [*COMMAND, "--only", "memory"]
    with subprocess.Popen(command, env=environment(tmp_path), stdout=subprocess.DEVNULL) as running:
        until = time.monotonic() + BENCH_TIMEOUT
        while not (started := list(tmp_path.glob("*.pid"))) and time.monotonic() < until:
            time.sleep(POLL_INTERVAL)

        running.terminate()
        assert running.wait(BENCH_TIMEOUT) == 128 + signal.SIGTERM

    assert not Path(f"/proc/{started[0].stem}").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "speed"), "expected names of overhead, hiding"),
        (("--only", "start", "--check", "/nowhere/recorded.json"), "No such file"),
        (("--only", "start", "--check", "/dev/null"), "holds no recorded ratios"),
    ],
)
def test_bad_usage_is_reported(arguments: tuple[str, ...], message: str) -> None:
    ended = bench(*arguments)

    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
