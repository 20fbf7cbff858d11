"""Records each job by running the real program, and checks the recording."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
from cassettes.jobs import JOBS, KEY, Job

from trioworker.cassette import Replay, load_cassette
from trioworker.worker.llm.prompts import environment
from trioworker.worker.llm.surroundings import Surroundings

ROOT = Path(__file__).parents[2]
TURNS = Path(__file__).parent
CASSETTES = ROOT / "tests" / "cassettes"
MACHINE = environment(
    Surroundings(
        system="Debian GNU/Linux 12 (bookworm), x86_64",
        user="worker",
        date="2026-01-01",
        workspace="/workspace",
        writable=("/workspace",),
        sandbox="landlock 7, no_new_privs, limits",
        max_iterations=50,
        timeout=590.0,
    )
)
"""The machine that the fixtures describe, in place of the one that recorded them."""


def main() -> int:
    names = sys.argv[1:] or list(JOBS)
    unknown = [name for name in names if name not in JOBS]
    if unknown:
        sys.stderr.write(f"scripts/record-cassettes: no job {unknown[0]}; there are {', '.join(JOBS)}\n")
        return 2
    return max(_record(name, JOBS[name]) for name in names)


def _record(name: str, job: Job) -> int:
    with tempfile.TemporaryDirectory() as folder:
        workspace, cassette = Path(folder) / "workspace", Path(folder) / "recorded.jsonl"
        workspace.mkdir()
        for path, content in job.files.items():
            (workspace / path).write_text(content)
        code = _run(name, job, workspace, cassette)
        _hide_machine(cassette)
        defect = _defect(job, code, cassette, folder)
        if defect:
            print(f"{name}: {defect}")
            return 1
        target = CASSETTES / f"{name}.jsonl"
        target.write_bytes(cassette.read_bytes())
        print(f"{name}: {len(load_cassette(target).exchanges)} requests, {target.stat().st_size:,} bytes")
        return 0


def _run(name: str, job: Job, workspace: Path, cassette: Path) -> int:
    command = [sys.executable, "-m", "trioworker", "local", job.text, "--workspace", str(workspace)]
    command += ["--llm", f"script:{TURNS / name}.yaml", "--record", str(cassette), "--log-level", "error"]
    command += ["--follow-ups", "-", *job.options]
    state = {"XDG_STATE_HOME": str(workspace.parent / "state")}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env={**os.environ, **state}) as program:
        waiting = bool(job.when)
        for line in program.stdout or ():
            if waiting and job.when in line:
                waiting = False
                _intervene(job, program)
        return program.wait()


def _hide_machine(cassette: Path) -> None:
    """Replace the system message's text about this machine. A replay takes it from the cassette."""
    machine = Replay(load_cassette(cassette)).machine
    if machine:
        text = cassette.read_text()
        cassette.write_text(text.replace(_escaped(machine), _escaped(MACHINE)))


def _escaped(text: str) -> str:
    """The text within a JSON string, as the recorder writes it."""
    return msgspec.json.encode(text).decode()[1:-1]


def _intervene(job: Job, program: subprocess.Popen[str]) -> None:
    if job.say and program.stdin is not None:
        program.stdin.write(job.say + "\n")
        program.stdin.flush()
    if job.stop:
        program.send_signal(signal.SIGTERM)


def _defect(job: Job, code: int, cassette: Path, folder: str) -> str:
    """Return what is wrong with a recording, or nothing."""
    if code != job.code:
        return f"exit code {code}, expected {job.code}"
    text = cassette.read_text()
    if job.say and f'"kind":"prompt","content":"{job.say}"' not in text:
        return "the follow-up came too late; try again on a machine with less load"
    if KEY in text:
        return "a secret was recorded"
    path = re.search(r"/tmp/\S*|/home/\S*|/root/\S*", text)  # noqa: S108 - searched for, not used
    if path or folder in text or str(ROOT) in text:
        return f"a path of this machine was recorded: {path[0] if path else folder}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
