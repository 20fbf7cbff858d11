"""`scripts/bench --smoke`: every measure works, missing figures have a reason, and ratios are checked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
BENCH_TIMEOUT = 300.0
"""Seconds; it takes 20."""
POLL_INTERVAL = 0.02
"""Seconds between two looks for a file that a child process writes."""
MEASURES = ("overhead", "hiding", "start", "growth", "memory", "safety", "tracing", "events", "fleet")
REFERENCES = {"tracing": "untraced"}
"""What a measure compares us with, if not with the baseline."""


COMMAND = (sys.executable, "-m", "benchmarks", "--smoke")


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(ROOT / "scripts"), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the benchmark with the Python that runs the tests."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BENCH_TIMEOUT,
        check=False,
    )


def figures(file: Path) -> dict[str, dict[str, Any]]:
    """The written figures by measure and name."""
    return {f"{one['measure']}: {one['name']}": one for one in json.loads(file.read_bytes())["figures"]}


def test_every_measure_works_beside_a_broken_peer(tmp_path: Path) -> None:
    file = tmp_path / "all.json"

    ended = bench("--json", file, "--peer", "sh -c 'echo no worker >&2; exit 7' {job_id} {url}")

    # One run for all of this: it is the longest.
    assert ended.returncode == 0, ended.stdout + ended.stderr
    taken = figures(file)
    assert {key.partition(":")[0] for key in taken} == set(MEASURES)
    for measure in MEASURES:
        workers = {"trioworker", REFERENCES.get(measure, "baseline")}
        assert_both_were_measured(workers, [one for one in taken.values() if one["measure"] == measure])
    assert_we_were_measured_throughout(taken)
    assert_numbers_agree(list(taken.values()))
    assert_failures_have_a_reason(ended.stdout, taken)
    assert_circumstances_are_written(json.loads(file.read_bytes()))


def assert_both_were_measured(workers: set[str], of_measure: list[dict[str, Any]]) -> None:
    assert any(all("median" in one["subjects"].get(worker, {}) for worker in workers) for one in of_measure), of_measure


def assert_we_were_measured_throughout(taken: dict[str, dict[str, Any]]) -> None:
    missing = {key: one["subjects"]["trioworker"].get("missing", "") for key, one in taken.items()}
    assert set(missing.values()) == {""}, missing


def assert_numbers_agree(taken: list[dict[str, Any]]) -> None:
    """A median lies between its extremes, and a ratio is that of the medians."""
    ratios = 0
    for one in taken:
        measured = {name: subject for name, subject in one["subjects"].items() if "median" in subject}
        for subject in measured.values():
            assert subject["min"] <= subject["median"] <= subject["max"]
            assert (min(subject["runs"]), max(subject["runs"])) == (subject["min"], subject["max"])
        if {"trioworker", one["against"]} <= set(measured):
            ours, reference = measured["trioworker"], measured[one["against"]]
            assert ours["ratio"] == pytest.approx(ours["median"] / reference["median"])
            ratios += 1
    assert ratios > len(MEASURES)


def assert_failures_have_a_reason(shown: str, taken: dict[str, dict[str, Any]]) -> None:
    assert "not measured: exit code 7: no worker" in shown
    of_peer = [one["subjects"]["peer 1"] for one in taken.values() if "peer 1" in one["subjects"]]
    assert of_peer
    assert all(subject == {"missing": subject["missing"]} for subject in of_peer)
    assert taken["events: from one event to the next"]["subjects"]["with a journal"]["median"] > 0


def assert_circumstances_are_written(result: dict[str, Any]) -> None:
    assert (result["format"], result["scale"]) == (2, "smoke")
    assert result["machine"]["cores"] >= 1
    assert result["machine"]["python"]
    assert result["machine"]["libraries"]["trio"]
    assert result["command"][0] == "scripts/bench"


def test_a_peer_is_measured_too(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    command = f"{sys.executable} -m benchmarks.baseline {{job_id}} {{url}}"

    ended = bench("--only", "overhead", "--json", file, "--peer", command)

    assert ended.returncode == 0, ended.stderr
    assert figures(file)["overhead: reply to next request"]["subjects"]["peer 1"]["median"] > 0


def test_a_ratio_to_a_reference_that_sleeps_is_not_recorded(tmp_path: Path) -> None:
    recorded = tmp_path / "recorded.json"
    assert bench("--only", "overhead", "--record", recorded).returncode == 0
    kept = json.loads(recorded.read_bytes())["smoke"]
    assert "overhead: reply to next request, without the pause" in kept
    assert "overhead: reply to next request" not in kept


def test_only_a_ratio_over_twice_the_recorded_one_is_a_regression(tmp_path: Path) -> None:
    recorded = tmp_path / "recorded.json"
    assert bench("--only", "memory", "--record", recorded).returncode == 0

    # Memory hardly varies.
    again = bench("--only", "memory", "--check", recorded)
    assert again.returncode == 0, again.stdout
    assert "regression" not in again.stdout

    ratios = json.loads(recorded.read_bytes())["smoke"]
    assert len(ratios) == 2
    worse = next(iter(ratios))
    recorded.write_text(json.dumps({"smoke": {**ratios, worse: ratios[worse] / 2.5}}))
    ended = bench("--only", "memory", "--check", recorded)
    assert ended.returncode == 1, ended.stdout
    assert [line for line in ended.stdout.splitlines() if line.startswith("regression: ")] == [
        next(line for line in ended.stdout.splitlines() if worse in line and "recorded" in line)
    ]


def test_a_stopped_benchmark_leaves_no_worker(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    peer = f"sh -c 'echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 300' {{job_id}} {{url}}"
    with subprocess.Popen(
        [*COMMAND, "--only", "memory", "--peer", peer], env=environment(), stdout=subprocess.DEVNULL
    ) as running:
        until = time.monotonic() + BENCH_TIMEOUT
        while not pid_file.exists() and time.monotonic() < until:
            time.sleep(POLL_INTERVAL)
        worker = int(pid_file.read_text())

        running.terminate()
        assert running.wait(BENCH_TIMEOUT) == 128 + signal.SIGTERM

    assert not Path(f"/proc/{worker}").exists()


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
