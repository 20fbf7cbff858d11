"""Jobs that overlap in one process, and the program that embeds them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROUNDS = int(os.environ.get("TRIOWORKER_TEST_REPEATS", "2"))
TIMEOUT = 900.0
"""Seconds; a round takes about two, and one of 50 where twenty programs compete for a processor."""


@pytest.mark.parametrize(("where", "containment"), [("main", "auto"), ("threads", "off")])
def test_ten_overlapping_jobs_leave_the_embedding_program_as_it_was(
    where: str, containment: str, tmp_path: Path
) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "support.overlapping_jobs", where, containment, str(ROUNDS), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {"problems": [], "changed": [], "children": []}
