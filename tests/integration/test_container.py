"""The image, built and run for real by `scripts/container-smoke`; minutes the first time, so only when asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SMOKE = Path(__file__).resolve().parents[2] / "scripts" / "container-smoke"
SKIPPED = 77
"""The script's exit code when something that it needs is missing."""


@pytest.mark.integration
@pytest.mark.skipif(
    os.environ.get("TRIOWORKER_CONTAINER_TESTS") != "1", reason="set TRIOWORKER_CONTAINER_TESTS=1 to build and run it"
)
@pytest.mark.skipif(not (shutil.which("podman") and shutil.which("buildah")), reason="needs podman and buildah")
def test_the_image_runs_a_job_stops_in_time_and_leaves_no_zombie() -> None:
    done = subprocess.run([SMOKE], capture_output=True, text=True, check=False)

    if done.returncode == SKIPPED:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
