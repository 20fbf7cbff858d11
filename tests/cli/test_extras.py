"""A missing extra: one line with the command that installs it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from trioworker.cli.extras import EXTRAS, missing_extra

if TYPE_CHECKING:
    from pathlib import Path

JOB = '{"job_id": "00000000-0000-4000-8000-00000000000b", "token": "token-token-token"}'


@pytest.mark.parametrize(("extra", "module"), [(extra, module) for extra in EXTRAS for module in EXTRAS[extra]])
def test_missing_module_names_its_extra(extra: str, module: str) -> None:
    explained = missing_extra(ModuleNotFoundError(f"No module named '{module}.sub'", name=f"{module}.sub"))
    assert str(explained) == (
        f"the module {module} is not installed; install the extra: pip install 'trioworker[{extra}]'"
    )


@pytest.mark.parametrize("name", ["trioworker.absent", "my_tools", None])
def test_missing_module_of_the_users_own_is_not_explained(name: str | None) -> None:
    assert missing_extra(ModuleNotFoundError("no", name=name)) is None


@pytest.mark.parametrize(
    ("module", "extra", "arguments"),
    [
        ("starlette", "local", ["local", "x", "--llm", "script:turns.yaml"]),
        ("yaml", "local", ["orchestrator", "--llm", "script:turns.yaml"]),
        ("ray", "ray", ["fleet", "jobs.jsonl", "--engine", "ray"]),
        ("yaml", "kubernetes", ["fleet", "jobs.jsonl", "--engine", "kubernetes", "--image", "x"]),
    ],
)
def test_program_without_an_extra_is_one_line(module: str, extra: str, arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "jobs.jsonl").write_text(JOB)
    (tmp_path / "turns.yaml").write_text("- content: x\n")
    code = (
        "import sys; sys.modules[sys.argv[1]] = None; from trioworker.cli.main import main; print(main(sys.argv[2:]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, module, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ended.stdout == "2\n"
    assert ended.stderr.endswith(f"pip install 'trioworker[{extra}]'\n")
    assert ended.stderr.count("\n") == 1
