from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import trio

from trioworker.worker.processes.orphans import terminate_orphans
from trioworker.worker.processes.ownership import MARK, job_mark
from trioworker.worker.processes.termination import KILL_WAIT

SOON = 10.0
"""Seconds that something which must happen at once may take on a busy machine."""
STARTED_AT = 1_700_000_000.25
WORKER = """
import os, sys, trio
from trioworker.worker.processes.ownership import job_mark
from trioworker.worker.processes.processes import Processes

async def main(job, command, folder):
    async with Processes(job_mark(job, float(sys.argv[4]))) as processes:
        directory = os.open(folder, os.O_RDONLY)
        await processes.run(["sh", "-c", command], directory=directory, environment=dict(os.environ), timeout=60)
        await trio.sleep_forever()

trio.run(main, *sys.argv[1:4])
"""
"""Runs one command of a job, and stays until it is killed."""
TELL = "echo $$ > child.new; mv child.new child; exec sleep 300"


@pytest.fixture
def job() -> str:
    """A job that no other test has; tests of several runs may share this machine."""
    return f"job-{os.getpid()}-{os.urandom(4).hex()}"


async def left_by_a_killed_worker(command: str, job: str, folder: Path) -> int:
    """The process that the command leaves, of a worker that is dead."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    worker = await trio.lowlevel.open_process(
        [sys.executable, "-c", WORKER, job, command, str(folder), str(STARTED_AT)], env=environment
    )
    try:
        with trio.fail_after(SOON):
            # Another process writes it, which has no event of ours.
            while not (folder / "child").exists():  # noqa: ASYNC110
                await trio.sleep(0.01)
    finally:
        worker.kill()
        with trio.CancelScope(shield=True):
            await worker.wait()
    child = int((folder / "child").read_text())
    assert alive(child)
    return child


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.parametrize(
    "command",
    [
        f"sh -c '{TELL}' & wait",
        f"sh -c '{TELL}' &",
        f"setsid sh -c '{TELL}' &",
        f"(setsid sh -c '(setsid sh -c \"{TELL.replace('$', chr(92) + '$')}\" &)' &)",
        f"env -i sh -c '{TELL}' & sleep 300",
        f"sh -c \"setsid env -i sh -c '{TELL.replace('$', chr(92) + '$')}' & sleep 300\" &",
        f"trap '' TERM; sh -c '{TELL}' & wait",
    ],
    ids=["running", "background", "session", "forked-twice", "without-environment", "child-without-both", "deaf"],
)
async def test_what_a_killed_worker_left_is_ended(command: str, job: str, tmp_path: Path) -> None:
    child = await left_by_a_killed_worker(command, job, tmp_path)
    with trio.fail_after(SOON):
        await terminate_orphans(job_mark(job, STARTED_AT))
    assert not alive(child)


async def test_leftovers_are_asked_first(job: str, tmp_path: Path) -> None:
    # The shell tells of its child's end, and would die of it: nobody reads that pipe any more.
    command = (
        "exec 2>&-; trap 'echo cleaned > told; exit' TERM; echo $$ > new; mv new child; while :; do sleep 0.01; done"
    )
    await left_by_a_killed_worker(command, job, tmp_path)
    await terminate_orphans(job_mark(job, STARTED_AT))
    assert (tmp_path / "told").read_text() == "cleaned\n"


@pytest.mark.parametrize(
    ("same_name", "started_at"), [(True, STARTED_AT + 1), (False, STARTED_AT)], ids=["earlier-run", "other-job"]
)
async def test_other_jobs_are_left_alone(same_name: bool, started_at: float, job: str, tmp_path: Path) -> None:
    child = await left_by_a_killed_worker(f"sh -c '{TELL}' &", job, tmp_path)
    await terminate_orphans(job_mark(job if same_name else f"{job}-2", started_at))
    assert alive(child)
    os.kill(child, signal.SIGKILL)


async def test_who_shares_our_session_is_left_alone(job: str) -> None:
    mark = {MARK: f"{job_mark(job, STARTED_AT)}#0"}
    process = await trio.lowlevel.open_process(["sleep", "300"], env={**os.environ, **mark})
    await terminate_orphans(job_mark(job, STARTED_AT))
    assert process.poll() is None
    process.kill()
    await process.wait()


async def test_looking_for_leftovers_where_there_are_none_takes_no_wait(job: str) -> None:
    began = trio.current_time()
    await terminate_orphans(job_mark(job, STARTED_AT))
    assert trio.current_time() - began < KILL_WAIT
