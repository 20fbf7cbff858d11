"""The process that starts the commands: what they get from it, and what happens when it is gone."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from support.walls import wall_around
from trioworker.linux.procfs import process_table
from trioworker.worker.processes.processes import Processes
from trioworker.worker.processes.sandbox import launcher_client as launching
from worker.processes.sandbox.conftest import LIMIT

if TYPE_CHECKING:
    from worker.processes.sandbox.conftest import Behind


def launchers() -> list[int]:
    """The launchers among our children that live."""
    children = [entry.pid for entry in process_table().get(os.getpid(), []) if not entry.is_dead]
    return [pid for pid in children if b"launcher.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def environment_of(pid: int) -> bytes:
    """What can be seen of it: nothing, unless we are root."""
    with suppress(PermissionError):
        return Path(f"/proc/{pid}/environ").read_bytes()
    return b""


async def test_a_command_gets_three_descriptors_and_no_more(behind: Behind) -> None:
    async with behind() as run:
        # The fourth is the listing's own.
        assert (await run("ls /proc/self/fd")).output.split() == ["0", "1", "2", "3"]


async def test_a_command_finds_its_signals_as_they_should_be(behind: Behind) -> None:
    async with behind() as run:
        status = (await run("cat /proc/self/status")).output
    masks = dict(line.split(":") for line in status.splitlines())
    assert [int(masks[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt")] == [0, 0, 0]


async def test_a_command_gets_its_own_environment_alone(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of-the-worker")
    async with behind() as run:
        variables = (await run("env", GIVEN="a=b\nc")).output
        (launcher,) = launchers()
        assert b"SECRET" not in environment_of(launcher)
    assert "GIVEN=a=b\nc\n" in variables
    assert "SECRET" not in variables


async def test_core_files_are_not_written_and_limits_are_there(behind: Behind) -> None:
    async with behind(timeout=10.0) as run:
        output = (await run("ulimit -c; ulimit -t; ulimit -f; ulimit -H -c")).output
    core, seconds, blocks, hard = output.split()
    assert (core, hard) == ("0", "0")
    assert 60 <= int(seconds) <= max(60, 10 * (os.cpu_count() or 1))
    assert int(blocks) == 16 * 1024**3 // 512


async def test_a_limit_that_is_lower_already_stays(workspace: Path) -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (512_000, 1_024_000))\n"
        "from trioworker.worker.processes.sandbox.resource_limits import limits\n"
        "print(limits(1.0)[resource.RLIMIT_FSIZE])\n"
    )
    ended = await trio.run_process([sys.executable, "-c", program], capture_stdout=True)
    assert ended.stdout == b"512000\n"


async def test_arguments_and_environments_of_any_size_arrive(workspace: Path) -> None:
    directory = os.open(workspace, os.O_RDONLY)
    long = {f"LONG{number}": "x" * 100_000 for number in range(10)}
    with wall_around(workspace) as sandbox:
        async with Processes(None, sandbox) as processes:
            command = [sys.executable, "-c", "import os, sys; print(len(sys.argv[1]), sys.argv[2:], len(os.environ))"]
            ended = await processes.run(
                [*command, "\u00e9" * 60_000, "", "a\nb"], directory=directory, environment=long, timeout=LIMIT
            )
            assert ended.output.startswith("60000 ['', 'a\\nb'] 1")
            with pytest.raises(OSError, match="Argument list too long"):
                await processes.run([*command, "x" * 200_000], directory=directory, environment=long, timeout=LIMIT)
            for command in (["/none"], ["none"], [str(workspace)]):
                with pytest.raises(OSError, match=r"No such file|denied"):
                    await processes.run(command, directory=directory, environment={}, timeout=LIMIT)
    os.close(directory)


async def test_the_launcher_starts_with_the_first_command_and_ends_with_the_job(behind: Behind) -> None:
    async with behind() as run:
        assert launchers() == []
        await run("true")
        (first,) = launchers()
        await run("true")
        assert launchers() == [first]
    assert launchers() == []


async def test_a_command_that_kills_the_launcher_ends_no_job(behind: Behind) -> None:
    async with behind() as run:
        await run("true")
        (launcher,) = launchers()
        assert (await run("kill -9 $LAUNCHER; echo killed", LAUNCHER=launcher)).output == "killed\n"
        assert (await run("echo again")).output == "again\n"


async def test_a_launcher_that_was_stopped_is_given_up(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    async with behind() as run:
        await run("true")
        (launcher,) = launchers()
        os.kill(launcher, signal.SIGSTOP)
        with monkeypatch.context() as impatient:
            impatient.setattr(launching, "START_LIMIT", 0.2)
            with pytest.raises(TimeoutError, match="did not answer"):
                await run("true")
        assert launcher not in launchers()
        assert (await run("echo again")).output == "again\n"


async def test_signals_to_the_workers_group_leave_the_launcher_alone(behind: Behind) -> None:
    async with behind() as run:
        await run("true")
        (launcher,) = launchers()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(launcher, number)
        assert (await run("echo served")).output == "served\n"
        assert launchers() == [launcher]


async def test_commands_side_by_side_start_in_turn(behind: Behind) -> None:
    outputs: list[str] = []
    async with behind() as run:

        async def note(number: int) -> None:
            outputs.append((await run(f"sleep 0.05; echo {number}")).output)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(note, number)
        assert len(launchers()) == 1
    assert sorted(map(int, outputs)) == list(range(20))


async def test_no_descriptor_is_left(behind: Behind) -> None:
    async def job() -> None:
        async with behind() as run:
            for _ in range(3):
                await run("true")
            (launcher,) = launchers()
            os.kill(launcher, signal.SIGKILL)
            await run("sleep 60 &")

    await job()
    before = len(os.listdir("/proc/self/fd"))
    await job()
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_the_launcher_ends_when_its_worker_is_killed(workspace: Path) -> None:
    program = (
        "import os, signal, sys, trio\n"
        "from pathlib import Path\n"
        "from trioworker import WorkerConfig\n"
        "from trioworker.worker.processes.sandbox.sandbox import open_sandbox\n"
        "from trioworker.worker.processes.processes import Processes\n"
        "async def main():\n"
        "    place = Path(sys.argv[1])\n"
        "    directory = os.open(place, os.O_RDONLY)\n"
        "    with open_sandbox(WorkerConfig(job_id='', token='', workspace=place)) as wall:\n"
        "        async with Processes(None, wall) as processes:\n"
        "            await processes.run(['true'], directory=directory, environment=dict(os.environ), timeout=30)\n"
        "            print(processes._launcher.pid, flush=True)\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "trio.run(main)\n"
    )
    ended = await trio.run_process([sys.executable, "-c", program, str(workspace)], capture_stdout=True, check=False)
    launcher = int(ended.stdout)
    with trio.fail_after(LIMIT):
        # It is no child of ours, so nothing tells of its end but its absence.
        while is_running(launcher):  # noqa: ASYNC110
            await trio.sleep(0.02)
    take_exit_status(launcher)


def take_exit_status(pid: int) -> None:
    """An orphan is ours, if an earlier test has made us the one who gets them."""
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
