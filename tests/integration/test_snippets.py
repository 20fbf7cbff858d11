"""The code of the README and the pages runs as pasted; its shell commands have options that exist."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from orchestrator.serving import serving
from support.model import ScriptedModel
from support.pages import PAGES, ROOT, blocks, run_pytest, run_python, write_files
from trioworker.cli.arguments import checked
from trioworker.cli.parser import parse
from trioworker.errors import ConfigError
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.store import Store
from trioworker.testing import DONE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]
WITH_SHELL = [page for page in PAGES if blocks(page, "sh")]
DOCUMENTED_URL = "http://127.0.0.1:50051"
CASSETTE = ROOT / "tests" / "cassettes" / "fix-a-bug.jsonl"
RUNS_JOB = "trio.run("
"""What the source of a program that runs a job contains."""


def name_of(page: Path) -> str:
    return page.name


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_python_block_names_its_file_or_is_a_fragment(page: Path) -> None:
    assert [block.code for block in blocks(page, "python") if not (block.file or block.fragment)] == []


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_python_files_of_a_page_run(page: Path, tmp_path: Path) -> None:
    names = write_files(page, tmp_path)
    shutil.copy(CASSETTE, tmp_path / "job.jsonl")
    modules = [name.removesuffix(".py") for name in names if RUNS_JOB not in (tmp_path / name).read_text()]
    run_python(tmp_path, "-c", f"import {', '.join(modules)}")
    if any(name.startswith("test_") for name in names):
        ended = run_pytest(tmp_path)
        assert re.search(r"^\d+ passed in", ended, re.MULTILINE), ended


@pytest.mark.parametrize(
    ("page", "name"),
    [
        (page, block.file)
        for page in WITH_PYTHON
        for block in blocks(page, "python")
        if RUNS_JOB in block.code and not block.fragment
    ],
)
async def test_program_of_a_page_runs_a_job(page: Path, name: str, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    source = tmp_path / name
    with Store() as store:
        job = store.create_job("Make the tests pass.", title="Fix")
        async with serving(make_app(store, ScriptedModel([DONE]))) as url:
            # The documented port may be in use.
            source.write_text(source.read_text().replace(DOCUMENTED_URL, url))
            environment = {**os.environ, "JOB_ID": job.id, "JOB_TOKEN": job.token}
            ended = await trio.run_process([sys.executable, name], cwd=tmp_path, env=environment, capture_stdout=True)
    assert ended.stdout.decode() == f"completed {DONE.content}\n"


@pytest.mark.parametrize("page", WITH_SHELL, ids=name_of)
def test_shell_blocks_are_valid_and_use_options_that_exist(page: Path) -> None:
    for block in blocks(page, "sh"):
        subprocess.run(["bash", "-n"], input=block.code, text=True, check=True, capture_output=True)
        for arguments in commands(block.code):
            assert unknown_arguments(arguments) == ""


def commands(script: str) -> Iterator[list[str]]:
    """The arguments of each `trioworker` in a script, without what the shell does with them."""
    for line in script.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        index = words.index("trioworker") if "trioworker" in words else 0
        # Elsewhere, it is the name of an image.
        if words[index:] and all("=" in word for word in words[:index]) and words[index] == "trioworker":
            arguments = words[index + 1 :]
            ends = [index for index, word in enumerate(arguments) if re.match(r"[|&;<>]", word)]
            yield [word.rstrip(";") for word in arguments[: min(ends, default=None)] if word != "…"]


def unknown_arguments(arguments: list[str]) -> str:
    """What the parser says about the arguments; empty if it accepts them."""
    try:
        parse(checked(arguments))
    except ConfigError as error:
        return str(error)
    return ""
