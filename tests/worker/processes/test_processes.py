from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from support.sandboxes import sandbox_for
from trioworker.linux.procfs import process_table
from trioworker.worker.processes.processes import CommandResult, Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    MakeProcesses = Callable[[], Processes]

TIMEOUT = 30.0
"""Seconds after which something that must happen is taken not to happen; long, for a busy machine."""
LONG = 300
"""Seconds that a command runs unless it is terminated: longer than any test."""


@pytest.fixture(params=["unconfined", "confined"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeProcesses]:
    """Creates `Processes`, with and without a sandbox."""
    if request.param == "unconfined":
        yield Processes
        return
    with sandbox_for(tmp_path) as sandbox:
        yield lambda: Processes(None, sandbox)


async def run(processes: Processes, script: str, folder: Path, timeout: float = TIMEOUT) -> CommandResult:  # noqa: ASYNC109 - passed on
    with open_directory(folder) as directory:
        return await processes.run(
            ["sh", "-c", script], directory=directory, environment={"PATH": os.environ["PATH"]}, timeout=timeout
        )


@contextmanager
def open_directory(folder: Path) -> Generator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


async def written(file: Path) -> int:
    """Wait for a process to write a number to a file."""
    with trio.fail_after(TIMEOUT):
        # No event reports that another process has written it.
        while not (text := number_in(file)):  # noqa: ASYNC110
            await trio.sleep(0.01)
    return int(text)


def number_in(file: Path) -> str:
    try:
        text = file.read_text()
    except FileNotFoundError:
        return ""
    return text if text.endswith("\n") else ""


async def test_a_command_runs_in_the_directory_and_stdout_and_stderr_are_merged(
    make: MakeProcesses, tmp_path: Path
) -> None:
    async with make() as processes:
        ended = await run(processes, "pwd; echo error >&2; exit 3", tmp_path)
    assert ended == CommandResult(output=f"{tmp_path}\nerror\n", exit_code=3)


async def test_a_signal_is_a_negative_exit_code(make: MakeProcesses, tmp_path: Path) -> None:
    async with make() as processes:
        assert (await run(processes, "kill -9 $$", tmp_path)).exit_code == -signal.SIGKILL


async def test_three_megabytes_of_output_are_truncated_to_head_and_tail(make: MakeProcesses, tmp_path: Path) -> None:
    async with make() as processes:
        ended = await run(processes, "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last", tmp_path)
    assert ended.exit_code == 0
    assert ended.output.startswith("first\nxxx")
    assert ended.output.endswith("xxx\nlast\n")
    assert "... [truncated 29" in ended.output
    assert len(ended.output) < 66_000


async def test_standard_input_is_empty(make: MakeProcesses, tmp_path: Path) -> None:
    async with make() as processes:
        assert await run(processes, "read x || echo nothing", tmp_path) == CommandResult(
            output="nothing\n", exit_code=0
        )


async def test_a_missing_command_is_an_os_error(make: MakeProcesses, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    async with make() as processes:
        with open_directory(tmp_path) as directory, pytest.raises(FileNotFoundError):
            await processes.run(["/none"], directory=directory, environment={}, timeout=TIMEOUT)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_running_outside_the_block_is_an_error(make: MakeProcesses, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await run(make(), "true", tmp_path)


async def test_a_background_process_survives_its_call(make: MakeProcesses, tmp_path: Path) -> None:
    async with make() as processes:
        with trio.fail_after(TIMEOUT):
            ended = await run(processes, f"sleep {LONG} & echo $!", tmp_path)
        child = int(ended.output)
        assert alive(child)
        assert (await run(processes, f"kill -0 {child}", tmp_path)).exit_code == 0
    assert not alive(child)


async def test_a_background_process_can_write_after_its_call(make: MakeProcesses, tmp_path: Path) -> None:
    script = "(sleep 0.2; head -c 300000 /dev/zero; echo $? > done) & echo started"
    async with make() as processes:
        assert (await run(processes, script, tmp_path)).output == "started\n"
        assert await written(tmp_path / "done") == 0


async def test_a_time_out_terminates_the_tree_and_keeps_the_output(make: MakeProcesses, tmp_path: Path) -> None:
    script = f"echo started; sleep {LONG} & echo $! > child; wait"
    async with make() as processes:
        ended = await run_into_time_out(processes, script, tmp_path / "child")
        assert ended == CommandResult(output="started\n", exit_code=None)
        assert not alive(await written(tmp_path / "child"))


async def test_processes_that_ignore_sigterm_are_killed(make: MakeProcesses, tmp_path: Path) -> None:
    child = f"trap '' TERM; echo \\$\\$ > child; sleep {LONG}; sleep {LONG}"
    script = f"trap '' TERM; echo started; sh -c \"{child}\"; sleep {LONG}"
    async with make() as processes:
        ended = await run_into_time_out(processes, script, tmp_path / "child")
        assert ended.output == "started\n"
        assert not alive(await written(tmp_path / "child"))


async def test_output_after_sigterm_is_kept(make: MakeProcesses, tmp_path: Path) -> None:
    script = f"trap 'echo cleaned; exit' TERM; echo $$ > ready; sleep {LONG} & wait"
    async with make() as processes:
        ended = await run_into_time_out(processes, script, tmp_path / "ready")
    assert ended == CommandResult(output="cleaned\n", exit_code=None)


async def run_into_time_out(processes: Processes, script: str, ready: Path) -> CommandResult:
    """Run a script until it times out, but not before it has written a number to the file `ready`."""
    for timeout in (0.3, 3.0, TIMEOUT):
        ended = await run(processes, script, ready.parent, timeout)
        if number_in(ready):
            return ended
    raise AssertionError("the script did not start in time")


@pytest.mark.parametrize(
    "escape",
    [
        "setsid sh -c 'echo $$ > child; exec sleep 300' &",
        "(setsid sh -c 'echo $$ > child; exec sleep 300' &)",
        "(setsid env -i sh -c 'echo $$ > child; exec sleep 300' &)",
        "setsid sh -c '(setsid sh -c \"echo \\$\\$ > child; exec sleep 300\" &)'",
    ],
    ids=["session", "orphan", "orphan-without-environment", "twice"],
)
@pytest.mark.parametrize("end", ["time-out", "cancel", "job"])
async def test_processes_that_left_the_session_are_terminated(
    make: MakeProcesses, tmp_path: Path, escape: str, end: str
) -> None:
    async with make() as processes:
        if end == "job":
            await run(processes, escape, tmp_path)
            child = await written(tmp_path / "child")
            assert alive(child)
        elif end == "time-out":
            await run_into_time_out(processes, f"{escape}\nsleep {LONG}", tmp_path / "child")
            child = await written(tmp_path / "child")
            assert not alive(child)
        else:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run, processes, f"{escape}\nsleep {LONG}", tmp_path, float(LONG))
                child = await written(tmp_path / "child")
                nursery.cancel_scope.cancel()
            assert not alive(child)
    assert not alive(child)


async def test_a_time_out_keeps_processes_of_earlier_calls(make: MakeProcesses, tmp_path: Path) -> None:
    async with make() as processes:
        server = int((await run(processes, f"sleep {LONG} & echo $!", tmp_path)).output)
        await run(processes, "(setsid sh -c 'echo $$ > child; exec sleep 300' &)", tmp_path)
        daemon = await written(tmp_path / "child")
        await run(processes, f"sleep {LONG}", tmp_path, 0.1)
        assert alive(server)
        assert alive(daemon)
    assert not alive(server)
    assert not alive(daemon)


async def test_cancelling_the_call_terminates_the_tree(make: MakeProcesses, tmp_path: Path) -> None:
    async with make() as processes:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, processes, f"sleep {LONG} & echo $! > child; wait", tmp_path, float(LONG))
            child = await written(tmp_path / "child")
            nursery.cancel_scope.cancel()
        assert not alive(child)


async def test_cancelling_the_block_terminates_everything(make: MakeProcesses, tmp_path: Path) -> None:
    child = 0
    with trio.CancelScope() as scope:
        async with make() as processes:
            child = int((await run(processes, f"sleep {LONG} & echo $!", tmp_path)).output)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert child
    assert not alive(child)


async def test_the_block_can_be_entered_again(make: MakeProcesses, tmp_path: Path) -> None:
    processes = make()
    for _ in range(2):
        async with processes:
            assert (await run(processes, "echo again", tmp_path)).output == "again\n"
    await processes.terminate_all()


async def test_two_jobs_keep_each_others_processes(make: MakeProcesses, tmp_path: Path) -> None:
    async with make() as one, make() as other:
        mine = int((await run(one, f"sleep {LONG} & echo $!", tmp_path)).output)
        await run(other, "(setsid sh -c 'echo $$ > child; exec sleep 300' &)", tmp_path)
        theirs = await written(tmp_path / "child")
        await one.terminate_all()
        assert not alive(mine)
        assert alive(theirs)
    assert not alive(theirs)


async def test_children_of_an_embedding_program_are_kept(make: MakeProcesses, tmp_path: Path) -> None:
    with (
        foreign("sleep 300") as ours,
        foreign("exit 7", session=True) as dead,
        foreign("sleep 300", session=True) as session,
    ):
        async with make() as processes:
            await run(processes, "true", tmp_path)
            await run(processes, "sleep 5 &", tmp_path)
        assert alive(ours.pid)
        assert alive(session.pid)
        assert dead.wait() == 7
        ours.kill()
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


async def test_a_fork_storm_is_terminated(make: MakeProcesses, tmp_path: Path) -> None:
    script = "i=0; while [ $i -lt 150 ]; do (trap '' TERM; while :; do sleep 0.05; done) & i=$((i+1)); done; wait"
    async with make() as processes:
        with trio.fail_after(TIMEOUT):
            await run(processes, script, tmp_path, 0.4)
        assert (await run(processes, "true", tmp_path)).exit_code == 0


@pytest.mark.parametrize("containment", ["off", "auto"])
def test_processes_are_reaped_and_terminated_as_process_one(tmp_path: Path, containment: str) -> None:
    """In a pid namespace of its own, if this user may create one."""
    program = (
        "import os, trio\n"
        "from pathlib import Path\n"
        "from trioworker import WorkerConfig\n"
        "from trioworker.worker.processes.sandbox.sandbox import open_sandbox\n"
        "from trioworker.worker.processes.processes import Processes\n"
        f"config = WorkerConfig(job_id='', token='', workspace=Path({str(tmp_path)!r}), containment={containment!r})\n"
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
