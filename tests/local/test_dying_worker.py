"""`trioworker local` with a worker that dies repeatedly: the job stays resumable."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from support.program import ran

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


async def test_a_job_whose_worker_keeps_dying_is_kept_and_not_reported(tmp_path: Path) -> None:
    # A module that kills each worker while it starts stands for one that runs out of memory.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "if 'worker' in sys.orig_argv and '--job-id' in sys.orig_argv:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tmp_path / "turns.json").write_text(json.dumps([{"content": "The job is complete."}]))
    options = ("--workspace", str(workspace), "--state-dir", str(tmp_path / "state"))
    options = (*options, "--llm", f"script:{tmp_path / 'turns.json'}", "--web")
    ended = await ran("local", "Fix it.", *options, environment={"PYTHONPATH": str(tmp_path)})

    assert ended.code == 7, ended.err
    line = ended.err.splitlines()[-1]
    with closing(sqlite3.connect(tmp_path / "state" / "jobs.sqlite")) as database:
        ((job_id, end, digest),) = database.execute("SELECT id, ended, token_digest FROM jobs")
    assert re.fullmatch(
        rf"trioworker: the worker died 4 times, last with signal 9 \(SIGKILL\), probably because memory ran out;"
        rf" job {job_id[:8]} has not ended; to resume it, run the same command again,"
        rf" or `trioworker local --resume {job_id[:8]}`",
        line,
    )
    assert (end, digest is None) == (None, False)


async def test_a_job_whose_worker_dies_in_the_middle_keeps_its_journal(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    # Only workers have both options.
    kill = f"pkill -KILL -f -- '--orchestrator-url .*--state-dir {tmp_path}/state'"
    turns = [{"tool_calls": [{"name": "shell", "arguments": {"command": kill}}]}] * 8
    (tmp_path / "turns.json").write_text(json.dumps(turns))
    options = ("--workspace", str(workspace), "--state-dir", str(tmp_path / "state"), "--containment", "off")
    ended = await ran("local", "Fix it.", *options, "--llm", f"script:{tmp_path / 'turns.json'}")

    assert ended.code == 7, ended.out + ended.err
    (journal,) = (tmp_path / "state").glob("*.journal")
    assert journal.stat().st_size > 0
    assert f"`trioworker local --resume {journal.stem[:8]}`" in ended.err.splitlines()[-1]
    assert "> shell" in ended.out


async def test_a_job_whose_journal_is_locked_by_a_left_process_is_kept(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    lock = f"setsid env -i flock {tmp_path}/state/*.journal sh -c 'echo $$ > {workspace}/holder; exec sleep 300' &"
    kill = f"sleep 0.3; pkill -KILL -f -- '--orchestrator-url .*--state-dir {tmp_path}/state'"
    turns = [{"tool_calls": [{"name": "shell", "arguments": {"command": f"{lock} {kill}"}}]}] * 8
    (tmp_path / "turns.json").write_text(json.dumps(turns))
    options = ("--workspace", str(workspace), "--state-dir", str(tmp_path / "state"), "--containment", "off")
    try:
        ended = await ran("local", "Fix it.", *options, "--llm", f"script:{tmp_path / 'turns.json'}")
    finally:
        os.kill(int((workspace / "holder").read_text()), signal.SIGKILL)

    assert ended.code == 7, ended.out + ended.err
    assert "another worker runs this job; stop it first\n" in ended.err
    (journal,) = (tmp_path / "state").glob("*.journal")
    assert journal.stat().st_size > 0
