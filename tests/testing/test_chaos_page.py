"""The program with a leak in `docs/chaos-testing.md`: the leak is found, repeated and fixed."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from support.pages import ROOT, blocks

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ["pytester"]

PAGE = ROOT / "docs" / "chaos-testing.md"
FILES = {block.file: block.code for block in blocks(PAGE, "python") if block.file}
SHOWN = blocks(PAGE, "text")[0].code
LEAK = """\
        await trio.sleep(0.1)  # connects
        try:
"""
FIXED = """\
        try:
            await trio.sleep(0.1)  # connects
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Without other plugins, which take time to load. The page's reader has this one loaded by its entry point.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "trioworker.testing.pytest_plugin")
    (pytester.path / "test_pool.py").write_text(FILES["test_pool.py"])
    return pytester.path


def test_leak_is_found_as_the_page_shows(project: Path, pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("test_pool.py")
    result.stdout.fnmatch_lines([line.replace("…", "*") for line in SHOWN.splitlines()])


def test_shown_command_repeats_the_failure(project: Path, pytester: pytest.Pytester) -> None:
    (command,) = re.findall("^repeat: (.+)$", SHOWN, re.MULTILINE)
    result = pytester.runpytest_inprocess(*shlex.split(command)[1:])
    result.stdout.fnmatch_lines([f"repeat: {command}", "cancel_matrix: failures: 1 (1 shown)*"])


def test_one_cancel_passes(project: Path, pytester: pytest.Pytester) -> None:
    assert "`pytest --trio-chaos=cancel:2`" in PAGE.read_text()
    pytester.runpytest_inprocess("--trio-chaos=cancel:2").assert_outcomes(passed=1)


def test_test_passes_without_the_leak(project: Path, pytester: pytest.Pytester) -> None:
    source = (project / "test_pool.py").read_text()
    assert LEAK in source
    (project / "test_pool.py").write_text(source.replace(LEAK, FIXED))
    pytester.runpytest_inprocess("test_pool.py").assert_outcomes(passed=1)
