"""Which children are reaped, and when."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from support.identity import JOB_ID
from support.program import is_running
from trioworker.linux.procfs import process_table
from worker.processes.conftest import TIMEOUT, run, written

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.worker.processes.processes import Processes
    from worker.processes.conftest import MakeProcesses


async def test_children_of_an_embedding_program_are_kept(make: MakeProcesses, tmp_path: Path) -> None:
    with (
        foreign("sleep 300") as ours,
        foreign("exit 7", session=True) as dead,
        foreign("sleep 300", session=True) as session,
    ):
        async with make() as processes:
            await run(processes, "true", tmp_path)
            await run(processes, "sleep 5 &", tmp_path)
        assert is_running(ours.pid)
        assert is_running(session.pid)
        assert dead.wait() == 7
        ours.kill()
        session.kill()


async def test_children_of_a_program_are_kept_if_no_command_ran(make: MakeProcesses) -> None:
    with foreign("sleep 300", session=True) as session:
        # A process that is younger counts as undecided.
        await trio.sleep(0.5)
        async with make():
            pass
        assert is_running(session.pid)
        session.kill()


def foreign(script: str, *, session: bool = False) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["sh", "-c", f"exec {script}" if "exit" not in script else script], start_new_session=session
    )


async def test_orphans_do_not_stay_zombies(make: MakeProcesses, tmp_path: Path) -> None:
    earlier = zombies()
    async with make() as processes:
        for _ in range(3):
            await run(processes, "(sh -c 'exit 0' &); (setsid sh -c 'exit 0' &); sleep 0.05", tmp_path)
        with trio.fail_after(TIMEOUT):
            while zombies() - earlier:
                await run(processes, "true", tmp_path)
        await run(processes, "(setsid sh -c 'echo $$ > child; exec sleep 300' &)", tmp_path)
        await written(tmp_path / "child")
    assert zombies() - earlier == set()


ORPHANING = "for i in 1 2 3; do (setsid sh -c 'exit 0' &); (sh -c 'exit 0' &); done; echo $$ > started; exec sleep 300"


async def test_orphans_are_reaped_while_a_long_call_runs(make: MakeProcesses, tmp_path: Path) -> None:
    async with make() as processes:
        await check_that_orphans_are_reaped(processes, tmp_path)


async def test_orphans_are_reaped_after_another_job_has_ended(make: MakeProcesses, tmp_path: Path) -> None:
    end = trio.Event()

    async def earlier_job(*, task_status: trio.TaskStatus[None]) -> None:
        async with make() as processes:
            await run(processes, "true", tmp_path)
            task_status.started()
            await end.wait()

    async with trio.open_nursery() as nursery:
        await nursery.start(earlier_job)
        async with make() as processes:
            await run(processes, "true", tmp_path)
            end.set()
            await trio.testing.wait_all_tasks_blocked()
            await check_that_orphans_are_reaped(processes, tmp_path)


async def test_orphans_are_reaped_outside_the_main_thread(make: MakeProcesses, tmp_path: Path) -> None:
    async def job() -> None:
        async with make() as processes:
            await check_that_orphans_are_reaped(processes, tmp_path)

    await trio.to_thread.run_sync(trio.run, job)


async def check_that_orphans_are_reaped(processes: Processes, folder: Path) -> None:
    earlier = zombies()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, processes, ORPHANING, folder, 60.0)
        await written(folder / "started")
        with trio.fail_after(TIMEOUT):
            # No event reports that a zombie was reaped.
            while zombies() - earlier:  # noqa: ASYNC110
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()


def zombies() -> set[int]:
    """Children of ours that have ended and were not reaped; earlier tests may have left some."""
    return {entry.pid for entry in process_table().get(os.getpid(), []) if entry.is_dead}


@pytest.mark.parametrize("containment", ["off", "auto"])
def test_processes_are_reaped_and_terminated_as_process_one(tmp_path: Path, containment: str) -> None:
    """In a pid namespace of its own, if this user may create one."""
    program = (
        "import os, trio\n"
        "from pathlib import Path\n"
        "from trioworker import WorkerConfig\n"
        "from trioworker.worker.processes.sandbox.sandbox import open_sandbox\n"
        "from trioworker.worker.processes.processes import Processes\n"
        f"given = dict(job_id={JOB_ID!r}, token='t', workspace={str(tmp_path)!r}, containment={containment!r})\n"
        "config = WorkerConfig(**given)\n"
        "async def main():\n"
        "    assert os.getpid() == 1\n"
        "    with open_sandbox(config) as sandbox:\n"
        "        await work(sandbox)\n"
        "async def work(sandbox):\n"
        "    async with Processes(None, sandbox) as processes:\n"
        f"        directory = os.open({str(tmp_path)!r}, os.O_RDONLY)\n"
        "        ended = await processes.run(['sh', '-c', 'setsid sleep 300 & (sleep 300 &) ; echo ok'],\n"
        "            directory=directory, environment=dict(os.environ), timeout=5)\n"
        "        print(ended.output, end='')\n"
        "    print(sum(name.isdecimal() for name in os.listdir('/proc')))\n"
        "trio.run(main)\n"
    )
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", program]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=30,
        check=False,
    )
    if "unshare" in ended.stderr:
        pytest.skip("pid namespaces are denied here")
    assert ended.stdout == "ok\n1\n", ended.stderr
