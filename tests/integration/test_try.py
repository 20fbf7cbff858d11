"""`scripts/try`, as a person runs it: it succeeds, shows the fix as a diff, and works twice in a row."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
TRY_TIMEOUT = 300.0
"""Seconds: the first run may have to install the package, from an index that may be slow."""


def run_try(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        [ROOT / "scripts" / "try"],
        cwd=folder,
        env={**environment, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TRY_TIMEOUT,
        check=False,
    )


def test_demo_fixes_the_project_and_shows_the_diff_twice_in_a_row(tmp_path: Path) -> None:
    for _ in range(2):
        ended = run_try(tmp_path)

        assert ended.returncode == 0, ended.stdout + ended.stderr
        shown, _, diff = ended.stdout.partition("\ndiff --git ")
        assert "FAILED (failures=2)" in shown
        assert "completed (" in shown
        assert "-    values.sort()" in diff
        assert "+    ordered = sorted(values)" in diff
        # Caches remain for the next job.
        assert [path for path in tmp_path.iterdir() if not path.name.startswith("trioworker-cache-")] == []


def test_second_install_leaves_the_environment_unchanged(tmp_path: Path) -> None:
    program = ROOT / ".venv" / "bin" / "trioworker"
    if not (ROOT / ".venv" / ".installed-dev").exists():
        pytest.skip("runs from an environment of its own, not from .venv")
    before = program.stat().st_ctime_ns

    subprocess.run([ROOT / "scripts" / "venv", "local"], check=True, capture_output=True)

    assert program.stat().st_ctime_ns == before
