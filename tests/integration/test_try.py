"""`scripts/try`, as a person runs it: it ends well, shows the repair as a diff, and works twice in a row."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PATIENCE = 300.0
"""Seconds: the first run may have to install the package, from an index that may be slow."""


@pytest.mark.parametrize("run", ["first", "second"])
def test_the_demo_mends_the_project_and_shows_the_diff(run: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    ended = subprocess.run(
        [ROOT / "scripts" / "try"],
        cwd=tmp_path,
        env={**environment, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    shown, _, diff = ended.stdout.partition("\ndiff --git ")
    assert "FAILED (failures=2)" in shown
    assert "completed (" in shown
    assert "-    values.sort()" in diff
    assert "+    ordered = sorted(values)" in diff
    assert list(tmp_path.iterdir()) == []
