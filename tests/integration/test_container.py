"""The image, built and run for real by `scripts/container-smoke`; minutes the first time, one with a kept base."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SMOKE = Path(__file__).resolve().parents[2] / "scripts" / "container-smoke"
SKIPPED = 77
"""The script's exit code when something that it needs is missing."""
LIMIT = 1800
"""Seconds. Each step of the script has a limit of its own; this is for what nobody thought of."""

MISSING = [name for name in ("podman", "buildah") if not shutil.which(name)]


@pytest.mark.integration
@pytest.mark.skipif(os.environ.get("TRIOWORKER_CONTAINER_TESTS") == "0", reason="TRIOWORKER_CONTAINER_TESTS is 0")
@pytest.mark.skipif(bool(MISSING), reason=f"needs podman and buildah; {' and '.join(MISSING)} not found")
def test_the_image_runs_jobs_answers_reaps_stops_in_time_and_resumes() -> None:
    done = subprocess.run([SMOKE], capture_output=True, text=True, timeout=LIMIT, check=False)

    if done.returncode == SKIPPED:
        (reason,) = [line for line in done.stdout.splitlines() if line.startswith("skip ")]
        pytest.skip(reason.removeprefix("skip").strip())
    assert done.returncode == 0, done.stdout + done.stderr
