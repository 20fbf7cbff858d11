"""A session of pytest inside this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.pytest_sessions import PLUGIN

if TYPE_CHECKING:
    from support.pytest_sessions import Run


@pytest.fixture(autouse=True)
def ordinary_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables that change what pytest prints: on a CI server, its summary repeats each failure in full."""
    for name in ("CI", "BUILD_NUMBER", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a test file with the plugin, and with no other plugins except those named."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest(f"pytest_plugins = [{PLUGIN!r}]")

    def run(source: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=source)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "--strict-markers", *arguments)

    return run
