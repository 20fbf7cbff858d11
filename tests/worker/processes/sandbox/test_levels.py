"""Which level of containment is reached, how it is reported, and what `require` demands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from observability.tracefile import read_trace
from support.identity import JOB_ID, TOKEN
from support.program import ran
from support.sandboxes import WITHOUT_LANDLOCK, needs_landlock, sandbox_for
from trioworker import ConfigError, open_job, run_job
from trioworker.linux import landlock
from trioworker.testing import DONE, SimulatedOrchestrator, call
from trioworker.worker.config import WorkerConfig
from trioworker.worker.processes.sandbox.sandbox import open_sandbox
from trioworker.worker.state.journal_file import journal_path
from worker.processes.sandbox.conftest import LIMIT

ROOT = Path(__file__).parents[4]


def hostile(outside: Path) -> SimulatedOrchestrator:
    """A job whose first command writes outside the workspace, and whose second inside."""
    turns = [
        call("shell", command=f"echo hacked > {outside}/victim"),
        call("shell", command="echo fine > result; cat result"),
        DONE,
    ]
    return SimulatedOrchestrator(turns, thinking=0.0)


@needs_landlock
async def test_a_command_that_writes_outside_fails_and_the_job_continues(
    workspace: Path, outside: Path, tmp_path: Path
) -> None:
    world = hostile(outside)
    trace = tmp_path / "trace.json"
    outcome = await run_job(world.config(workspace, containment="require", trace=trace), transport=world)

    assert outcome.success
    assert (outside / "victim").read_text() == "safe"
    assert (workspace / "result").read_text() == "fine\n"
    refused, worked = [data["output"] for data in world.of_type("tool_result")]
    assert "Permission denied" in refused
    assert worked == "fine"
    level = f"landlock {min(landlock.version(), landlock.MAX_VERSION)}, seccomp, no_new_privs, limits"
    assert world.of_type("status")[0] == {"message": f"containment: {level}", "seq": 0}
    ((_, mark),) = read_trace(trace).marks("sandbox")
    assert mark == {"level": level, "gap": ""}


async def test_containment_off_is_reported(workspace: Path, outside: Path) -> None:
    world = hostile(outside)
    outcome = await run_job(world.config(workspace, containment="off"), transport=world)
    assert outcome.success
    assert (outside / "victim").read_text() == "hacked\n"
    assert world.of_type("status")[0]["message"] == "containment: none; switched off"


@pytest.mark.integration
@needs_landlock
async def test_trioworker_local_passes_containment_options_to_the_worker(workspace: Path, outside: Path) -> None:
    script = workspace.parent / "turns.json"
    command = f"echo allowed > {outside}/victim; echo refused > {outside}/new"
    script.write_bytes(msgspec.json.encode([call("shell", command=command), DONE]))
    at = ("--workspace", str(workspace), "--llm", f"script:{script}", "--state-dir", str(outside / "state"))
    ended = await ran(
        "local", "Try it.", *at, "--json", "--containment", "require", "--allow-write", f"{outside}/victim:/dev/null"
    )
    assert ended.code == 0, ended.err
    assert (outside / "victim").read_text() == "allowed\n"
    assert not (outside / "new").exists()
    first = json.loads(ended.out.splitlines()[0])
    assert first["data"]["message"].startswith("containment: landlock")


async def test_a_resumed_job_reports_its_level_again(workspace: Path, tmp_path: Path) -> None:
    # In real time, since the journal is on a real disk.
    first, second = SimulatedOrchestrator(thinking=60.0), SimulatedOrchestrator(thinking=0.0)
    kept, copied = tmp_path / "kept", tmp_path / "copied"
    copied.mkdir()
    config = first.config(workspace, containment="off", state_dir=kept)
    async with open_job(config, transport=first):
        with trio.fail_after(LIMIT):
            await first.received("llm")
        shutil.copy(journal_path(kept, JOB_ID), journal_path(copied, JOB_ID))
    assert (await run_job(msgspec.structs.replace(config, state_dir=copied), transport=second)).success
    messages = [data["message"] for data in second.of_type("status")]
    assert messages[-2:] == ["The worker was restarted and continues at iteration 1", "containment: none; switched off"]


OLD_KERNEL = f"""{WITHOUT_LANDLOCK}
sys.path.insert(0, {str(ROOT / "tests")!r})
"""
JOB = f"""{OLD_KERNEL}
import json, trio
from pathlib import Path
from trioworker.testing import DONE, SimulatedOrchestrator, call
from trioworker import run_job
workspace, outside = map(Path, sys.argv[1:3])
command = f"echo written > {{outside}}/victim; ulimit -c; grep NoNewPrivs /proc/self/status"
world = SimulatedOrchestrator([call("shell", command=command), DONE], thinking=0.0)
outcome = trio.run(lambda: run_job(world.config(workspace), transport=world))
print(json.dumps([outcome.success, world.of_type("status")[0]["message"], world.of_type("tool_result")[0]["output"]]))
"""
CLI = f"""{OLD_KERNEL}
from trioworker.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def on_an_old_kernel(program: str, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    if "forget_landlock" in ended.stderr:
        pytest.skip("seccomp filters are denied here")
    return ended


def test_without_landlock_the_other_restrictions_apply(workspace: Path, outside: Path) -> None:
    ended = on_an_old_kernel(JOB, workspace, outside)
    assert ended.returncode == 0, ended.stderr
    success, level, output = json.loads(ended.stdout)
    assert success
    assert level == "containment: seccomp, no_new_privs, limits; this kernel offers no Landlock"
    assert "0\nNoNewPrivs:\t1" in output
    assert (outside / "victim").read_text() == "written\n"


def test_require_without_landlock_is_a_usage_error(workspace: Path) -> None:
    arguments = ["worker", "--job-id", JOB_ID, "--workspace", workspace, "--orchestrator-url", "http://127.0.0.1:9"]
    ended = on_an_old_kernel(CLI, *arguments, "--containment", "require", IRONCLAW_WORKER_TOKEN=TOKEN)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr == (
        "trioworker: --containment require: this kernel offers no Landlock; fix that, or use --containment auto\n"
    )


@pytest.mark.parametrize(("version", "gap"), [(0, "offers no Landlock"), (1, r"new enough \(version 1\)")])
def test_a_version_that_is_too_old_is_not_used(version: int, gap: str, workspace: Path) -> None:
    config: dict[str, Any] = {"job_id": JOB_ID, "token": TOKEN, "workspace": workspace}
    with open_sandbox(WorkerConfig(**config), offered=lambda: version) as sandbox:
        assert sandbox.level == "seccomp, no_new_privs, limits"
    with (
        pytest.raises(ConfigError, match=f"--containment require: .*{gap}"),
        open_sandbox(WorkerConfig(**config, containment="require"), offered=lambda: version),
    ):
        pass


@needs_landlock
def test_a_writable_journal_is_reported_and_refused_by_require(workspace: Path, outside: Path) -> None:
    within = Path("/tmp/never-made/state")
    with sandbox_for(workspace, state_dir=within) as sandbox:
        assert sandbox.summary.endswith(
            f"; commands may write to the journal's folder {within}; choose another --state-dir"
        )
    with (
        pytest.raises(ConfigError, match="journal's folder"),
        sandbox_for(workspace, state_dir=within, containment="require"),
    ):
        pass
    with sandbox_for(workspace, state_dir=outside, containment="require") as sandbox:
        assert sandbox.gap == ""


@needs_landlock
def test_the_worker_itself_is_not_confined_and_no_descriptors_leak(workspace: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    with sandbox_for(workspace):
        assert "NoNewPrivs:\t0" in Path("/proc/self/status").read_text()
    assert sorted(os.listdir("/proc/self/fd")) == before
