"""`trioworker local` when the end of its job can't be recorded, or its journal can't be deleted."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from support.program import ran, started, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def options(tmp_path: Path, *commands: str) -> tuple[str, ...]:
    """The options of a job that runs commands one after the other."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    turns = [{"tool_calls": [{"name": "shell", "arguments": {"command": command}}]} for command in commands]
    (tmp_path / "turns.json").write_text(json.dumps([*turns, {"content": "The job is complete."}]))
    folders = ("--workspace", str(workspace), "--state-dir", str(tmp_path / "state"))
    return (*folders, "--llm", f"script:{tmp_path / 'turns.json'}", "--containment", "off")


def journal_of(tmp_path: Path) -> Path:
    (journal,) = (tmp_path / "state").glob("*.journal")
    return journal


async def test_an_end_that_a_locked_database_does_not_take_is_one_line_and_keeps_the_journal(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'local' in sys.orig_argv:\n"
        "    from trioworker.orchestrator import database\n"
        "    database.LOCK_TIMEOUT = 0.5\n"
    )
    arguments = ("local", "Fix it.", *options(tmp_path, "touch started; sleep 60"))
    arguments = (*arguments, "--timeout", "3", "--grace", "1")
    async with started(*arguments, environment={"PYTHONPATH": str(tmp_path)}) as program:
        await until((tmp_path / "workspace" / "started").exists)
        with closing(sqlite3.connect(tmp_path / "state" / "jobs.sqlite", isolation_level=None, timeout=60)) as other:
            other.execute("BEGIN EXCLUSIVE")
            ended = await program.ended()

    assert ended.code == 5, ended.err
    assert "Traceback" not in ended.err
    journal = journal_of(tmp_path)
    assert ended.err.splitlines()[-1] == (
        "trioworker: another process locks the orchestrator's database; end that process;"
        " the job's end is not recorded:"
        f" job {journal.stem[:8]} has not ended; to resume it, run the same command again,"
        f" or `trioworker local --resume {journal.stem[:8]}`"
    )


async def test_a_journal_that_can_not_be_deleted_does_not_change_the_exit_code(tmp_path: Path) -> None:
    # A folder in place of the file stands for a folder that became read-only.
    replace = 'for j in ../state/*.journal; do rm "$j" && mkdir "$j"; done'
    ended = await ran("local", "Fix it.", *options(tmp_path, replace))

    assert ended.code == 0, ended.err
    assert "completed (" in ended.out
    (line,) = [line for line in ended.err.splitlines() if line.startswith("trioworker: ")]
    journal = journal_of(tmp_path)
    assert line == f"trioworker: {journal}: the journal of the ended job can't be deleted: Is a directory; delete it"
