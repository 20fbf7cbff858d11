"""Starts `trioworker orchestrator`, runs many jobs with stub workers, checks their events and prints the figures."""

from __future__ import annotations

import argparse
import json
import os
import resource
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

import trio

from loading.http import Connection
from loading.workers import Crowd

ADMIN_TOKEN = secrets.token_urlsafe()
SCRIPT = "turns:\n  - content: I look.\n    input_tokens: 900\n    output_tokens: 30\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/load", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="jobs at once (default 1000)")
    parser.add_argument("--turns", type=int, default=5, help="turns of each, of four events (default 5)")
    parser.add_argument("--think", type=float, default=10.0, help="seconds between two turns (default 10)")
    parser.add_argument("--descriptors", type=int, default=1024, help="soft limit of open files (default 1024)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    # Stops the orchestrator on the way out.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        figures = _measured(Path(folder), options)
    _show(figures, as_json=options.json)
    return 1 if figures["defects"] else 0


def _measured(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    script, database = folder / "script.yaml", folder / "jobs.db"
    # A stub's conversation does not grow, so one turn is enough.
    script.write_text(SCRIPT)
    # The usual soft limit is below the number of connections.
    command = ["sh", "-c", f'ulimit -Sn {options.descriptors} && exec "$@"', "sh"]
    command += [sys.executable, "-m", "trioworker", "orchestrator", "--port", "0"]
    command += ["--llm", f"script:{script}", "--database", str(database)]
    environment = {**os.environ, "TRIOWORKER_ORCHESTRATOR_ADMIN_TOKEN": ADMIN_TOKEN}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as orchestrator:
        try:
            port = int(_line(orchestrator.stderr).rsplit(":", 1)[1])
            began, cpu = time.perf_counter(), _cpu_seconds(orchestrator.pid)
            crowd = Crowd(port, options.turns, options.think)
            jobs = trio.run(_run, crowd, port, options.jobs)
            seconds, cpu = time.perf_counter() - began, _cpu_seconds(orchestrator.pid) - cpu
            peak = _peak_mib(orchestrator.pid)
        finally:
            orchestrator.terminate()
            orchestrator.wait(60)
    kinds = {kind: _latencies(times) for kind, times in sorted(crowd.seconds.items())}
    everything = [one for times in crowd.seconds.values() for one in times]
    return {
        "jobs": len(jobs),
        "at_once": crowd.peak,
        "events": len(jobs) * crowd.events,
        "requests": len(everything),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "cpu_ms_per_request": round(cpu / max(1, len(everything)) * 1000, 3),
        "peak_rss_mib": round(peak, 1),
        "latency_ms": {**kinds, "all": _latencies(everything)},
        "defects": _defects(database, [job_id for job_id, _ in jobs], crowd),
    }


async def _run(crowd: Crowd, port: int, count: int) -> list[tuple[str, str]]:
    jobs: list[tuple[str, str]] = []
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        connection = Connection(stream)
        for number in range(count):
            job_text = {"description": f"job {number}"}
            admin = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
            status, body = await connection.request("POST", "/jobs", job_text, admin)
            if status != 201:
                raise SystemExit(f"scripts/load: POST /jobs: {status} {body[:200]!r}")
            job = json.loads(body)
            jobs.append((job["id"], job["token"]))
    await crowd.run(jobs)
    return jobs


def _defects(database: Path, jobs: list[str], crowd: Crowd) -> list[str]:
    """Events that are missing, repeated or out of order, and jobs without a report."""
    defects = list(crowd.failures)
    # The orchestrator has ended.
    db = sqlite3.connect(database)
    arrived: dict[str, list[int]] = {}
    for job, seq in db.execute("SELECT job, seq FROM events ORDER BY job, number"):
        arrived.setdefault(job, []).append(seq)
    expected = list(range(crowd.events))
    defects += [f"{job}: events {arrived.get(job)}" for job in jobs if arrived.get(job) != expected]
    completed = {job for (job,) in db.execute("SELECT id FROM jobs WHERE state = 'completed' AND ended IS NOT NULL")}
    defects += [f"{job}: has no report" for job in jobs if job not in completed]
    db.close()
    return defects


def _latencies(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)

    def at(part: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000, 2)

    return {"count": len(ordered), "p50": at(0.5), "p99": at(0.99), "max": at(1)} if ordered else {"count": 0}


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _line(stream: IO[str] | None) -> str:
    line = "" if stream is None else stream.readline().strip()
    if "listening on" not in line:
        raise SystemExit(f"scripts/load: {line}")
    return line


def _show(figures: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures))
        return
    defects = figures["defects"]
    for name, value in figures.items():
        if not isinstance(value, dict | list):
            print(f"{name.replace('_', ' '):20} {value}")
    print(f"\n{'latency, ms':28} {'count':>8} {'p50':>9} {'p99':>9} {'max':>9}")
    for kind, row in figures["latency_ms"].items():
        print(f"{kind:28} " + " ".join(f"{value:>9}" for value in row.values()))
    print("\nno event was lost, repeated or out of order" if not defects else "\n".join(["", *defects[:20]]))


if __name__ == "__main__":
    sys.exit(main())
