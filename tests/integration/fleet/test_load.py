"""Many concurrent jobs on one embedded orchestrator: no event is lost, duplicated or out of order."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import trio

pytestmark = pytest.mark.integration

SCRIPTS = Path(__file__).parents[3] / "scripts"
JOBS = 60


async def test_concurrent_jobs_lose_no_event_above_the_soft_limit_of_open_files() -> None:
    options = ("--jobs", str(JOBS), "--turns", "2", "--think", "0.2", "--descriptors", "40", "--json")
    with trio.fail_after(120):
        ended = await trio.run_process(
            [sys.executable, "-m", "loading", *options],
            env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
            capture_stdout=True,
            check=False,
        )
    figures = json.loads(ended.stdout)

    assert figures["defects"] == []
    assert ended.returncode == 0
    assert (figures["jobs"], figures["at_once"], figures["events"]) == (JOBS, JOBS, JOBS * 9)
    assert figures["latency_ms"]["event"]["count"] == JOBS * 9
    assert figures["peak_rss_mib"] > 0
