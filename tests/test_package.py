"""The package from outside: its public names, and what importing it costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import trioworker

SOURCE = str(Path(trioworker.__file__).parent.parent)


def imported_by(statement: str) -> set[str]:
    """The modules that a new Python process has imported after `statement`."""
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys\n{statement}\nprint(*sys.modules)"],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert ended.stderr == ""
    return set(ended.stdout.split())


@pytest.mark.parametrize("name", trioworker.__all__)
def test_public_name_is_importable(name: str) -> None:
    assert getattr(trioworker, name, None) is not None


def test_public_names_are_found_by_completion() -> None:
    assert dir(trioworker) == sorted(set(trioworker.__all__))
    assert {"open_job", "run_job", "WorkerConfig", "JobOutcome", "Tool", "WorkerError"} <= {*trioworker.__all__}


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'trioworker' has no attribute 'teleport'"):
        trioworker.teleport  # noqa: B018 - the access is the test


def test_importing_the_package_imports_no_dependency() -> None:
    heavy = {"httpx", "httpcore", "trio", "msgspec", "loguru", "asyncio", "ssl", "argparse", "re2"}
    without = imported_by("pass")
    assert imported_by("import trioworker") - without >= {"trioworker"}
    assert not (imported_by("import trioworker") - without) & heavy


def test_worker_imports_nothing_that_it_does_not_need() -> None:
    needless = {"httpx", "httpcore", "anyio", "click", "rich", "starlette", "hypercorn", "sqlite3", "yaml", "pygments"}
    opened = (
        "from trioworker.worker.client.connection import open_connection; open_connection('http://host:1/job/', {})"
    )
    without = imported_by("pass")
    assert not (imported_by(f"import trioworker.cli.main, trioworker.worker.program; {opened}") - without) & needless


def test_importing_the_testing_package_imports_no_dependency() -> None:
    assert imported_by("import trioworker.testing") - imported_by("pass") == {"trioworker", "trioworker.testing"}


def test_simulated_orchestrator_needs_no_extra() -> None:
    of_extras = {"starlette", "hypercorn", "yaml", "markdown_it", "opentelemetry", "pyinstrument", "pytest"}
    statement = "from trioworker.testing import DONE, Fault, SimulatedOrchestrator, call, reply, say"
    assert not (imported_by(statement) - imported_by("pass")) & of_extras


def test_package_is_typed() -> None:
    assert (Path(trioworker.__file__).parent / "py.typed").is_file()
