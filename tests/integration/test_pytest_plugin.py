"""The pytest plugin in separate programs: in parallel processes, and as its extra installs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.pages import ROOT, blocks

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

PAGE = ROOT / "docs" / "chaos-testing.md"
INSTALLATION = blocks(PAGE, "sh")[0].code


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The test file with a leak."""
    files = {block.file: block.code for block in blocks(PAGE, "python") if block.file}
    (tmp_path / "test_pool.py").write_text(files["test_pool.py"])
    return tmp_path


def run(folder: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_failing_subtests_arrive_from_parallel_processes(project: Path) -> None:
    command = f"{sys.executable} -m pytest -p xdist -n 2 -p no:cacheprovider"
    # Without the plugins that are only installed here.
    plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "trioworker.testing.pytest_plugin"}
    ended = run(project, command, **plugins)
    assert ended.returncode == 1
    assert re.search(r"^SUBFAILED\[cancel:1, test_pool\.py:12, task ", ended.stdout, re.MULTILINE)
    assert "\nrepeat: pytest test_pool.py::test_pool_gets_its_connection_back --trio-chaos='cancel:1'\n" in ended.stdout
    assert "3 failed" in ended.stdout


@pytest.mark.skipif("TRIOWORKER_TEST_INSTALL" not in os.environ, reason="slow: set TRIOWORKER_TEST_INSTALL")
def test_extra_installs_everything_that_the_page_needs(project: Path) -> None:
    assert len((project / "test_pool.py").read_text().splitlines()) < 40
    install = INSTALLATION.replace("trioworker", str(ROOT))
    installed = run(project, f"{sys.executable} -m venv env && env/bin/{install}")
    assert installed.returncode == 0, installed.stderr
    environment = {"PATH": f"{project / 'env' / 'bin'}:{os.environ['PATH']}"}
    found = run(project, "pytest", **environment)
    repeats = re.findall("^repeat: (.+)$", found.stdout, re.MULTILINE)
    assert repeats, found.stdout + found.stderr
    for command in repeats:
        again = run(project, command, **environment)
        assert again.returncode == 1
        assert f"repeat: {command}" in again.stdout
    test = project / "test_pool.py"
    connect = "        await trio.sleep(0.1)  # connects\n"
    test.write_text(test.read_text().replace(f"{connect}        try:\n", f"        try:\n    {connect}"))
    assert run(project, "pytest", **environment).returncode == 0
