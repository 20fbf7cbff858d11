"""The command launcher: what commands inherit from it, and what happens when it is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from support.identity import JOB_ID
from support.program import WAIT_TIMEOUT, is_running
from support.sandboxes import sandbox_for
from trioworker.linux.procfs import process_table
from trioworker.worker.processes.processes import Processes
from trioworker.worker.processes.sandbox import launcher_client
from trioworker.worker.processes.sandbox.launcher import CODE_VARIABLE, PYTHON_VARIABLE, REQUEST
from worker.processes.conftest import open_directory
from worker.processes.sandbox.conftest import LIMIT

if TYPE_CHECKING:
    from worker.processes.sandbox.conftest import OpenSandboxed


def launchers() -> list[int]:
    """The launchers among our living children."""
    children = [entry.pid for entry in process_table().get(os.getpid(), []) if not entry.is_dead]
    return [pid for pid in children if b"\0-ISs\0-\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def environment_of(pid: int) -> bytes:
    """The environment of a launcher, which only root can read."""
    with suppress(PermissionError):
        return Path(f"/proc/{pid}/environ").read_bytes()
    return b""


async def test_commands_inherit_three_descriptors(sandboxed: OpenSandboxed) -> None:
    async with sandboxed() as run:
        # The fourth is the one by which `ls` lists the folder.
        assert (await run("ls /proc/self/fd")).output.split() == ["0", "1", "2", "3"]


async def test_commands_start_with_default_signal_handling(sandboxed: OpenSandboxed) -> None:
    async with sandboxed() as run:
        status = (await run("cat /proc/self/status")).output
    masks = dict(line.split(":") for line in status.splitlines())
    # The C library keeps signals 32 and 33 to itself: its posix_spawn may ignore them, and no program can reset them.
    own = ~(0b11 << 31)
    assert [int(masks[name], 16) & own for name in ("SigBlk", "SigIgn", "SigCgt")] == [0, 0, 0]


async def test_commands_inherit_nothing_of_the_workers_environment(
    sandboxed: OpenSandboxed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of-the-worker")
    async with sandboxed() as run:
        variables = (await run("env", GIVEN="a=b\nc")).output
        (launcher,) = launchers()
        assert b"SECRET" not in environment_of(launcher)
    assert "GIVEN=a=b\nc\n" in variables
    assert "SECRET" not in variables


async def test_commands_have_resource_limits(sandboxed: OpenSandboxed) -> None:
    async with sandboxed(timeout=10.0) as run:
        output = (await run("ulimit -c; ulimit -t; ulimit -f; ulimit -H -c")).output
    core, seconds, blocks, hard = output.split()
    assert (core, hard) == ("0", "0")
    assert 60 <= int(seconds) <= max(60, 10 * (os.cpu_count() or 1))
    assert int(blocks) == 16 * 1024**3 // 512


async def test_a_lower_limit_of_the_worker_is_kept(workspace: Path) -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (512_000, 1_024_000))\n"
        "from trioworker.worker.processes.sandbox.resource_limits import resource_limits\n"
        "print(resource_limits(1.0)[resource.RLIMIT_FSIZE])\n"
    )
    ended = await trio.run_process([sys.executable, "-c", program], capture_stdout=True)
    assert ended.stdout == b"512000\n"


async def test_large_arguments_and_environments_are_passed_on(workspace: Path) -> None:
    directory = os.open(workspace, os.O_RDONLY)
    long = {f"LONG{number}": "x" * 100_000 for number in range(10)}
    with sandbox_for(workspace) as sandbox:
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


async def test_the_launcher_runs_from_the_first_command_to_the_end_of_the_job(sandboxed: OpenSandboxed) -> None:
    async with sandboxed() as run:
        assert launchers() == []
        await run("true")
        (first,) = launchers()
        await run("true")
        assert launchers() == [first]
    assert launchers() == []


async def test_a_killed_launcher_is_restarted(sandboxed: OpenSandboxed) -> None:
    async with sandboxed() as run:
        await run("true")
        (launcher,) = launchers()
        assert (await run("kill -9 $LAUNCHER; echo killed", LAUNCHER=launcher)).output == "killed\n"
        assert (await run("echo again")).output == "again\n"


async def test_a_stopped_launcher_is_killed_after_a_time_out(
    sandboxed: OpenSandboxed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sandboxed() as run:
        await run("true")
        (launcher,) = launchers()
        os.kill(launcher, signal.SIGSTOP)
        with monkeypatch.context() as patch:
            patch.setattr(launcher_client, "START_TIMEOUT", 0.2)
            with pytest.raises(TimeoutError, match="did not respond"):
                await run("true")
        assert launcher not in launchers()
        assert (await run("echo again")).output == "again\n"


async def test_the_launcher_ignores_signals_that_stop_the_worker(sandboxed: OpenSandboxed) -> None:
    async with sandboxed() as run:
        await run("true")
        (launcher,) = launchers()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(launcher, number)
        assert (await run("echo served")).output == "served\n"
        assert launchers() == [launcher]


async def test_concurrent_commands_share_one_launcher(sandboxed: OpenSandboxed) -> None:
    outputs: list[str] = []
    async with sandboxed() as run:

        async def append_output(number: int) -> None:
            outputs.append((await run(f"sleep 0.05; echo {number}")).output)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(append_output, number)
        assert len(launchers()) == 1
    assert sorted(map(int, outputs)) == list(range(20))


async def test_no_descriptors_leak(sandboxed: OpenSandboxed) -> None:
    async def job() -> None:
        async with sandboxed() as run:
            for _ in range(3):
                await run("true")
            (launcher,) = launchers()
            os.kill(launcher, signal.SIGKILL)
            await run("sleep 60 &")

    await job()
    before = len(os.listdir("/proc/self/fd"))
    await job()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_launcher_whose_response_is_not_read_cleans_up(tmp_path: Path) -> None:
    ours, launchers_end = socket.socketpair()
    code = f"open({str(tmp_path / 'cleaned')!r}, 'x')"
    with Path(launcher_client.program.__file__).open() as source:
        launcher = subprocess.Popen(
            [sys.executable, "-ISs", "-", str(launchers_end.fileno()), "-1", "", ""],
            pass_fds=[launchers_end.fileno()],
            stdin=source,
            env={PYTHON_VARIABLE: sys.executable, CODE_VARIABLE: code},
        )
    launchers_end.close()
    request = REQUEST.pack(len(b"true"), 1) + b"true"
    with (tmp_path / "output").open("wb") as output, open_directory(tmp_path) as directory:
        socket.send_fds(ours, [request], [directory, output.fileno(), output.fileno()])
        ours.send(request[:3])
    ours.close()

    assert launcher.wait(WAIT_TIMEOUT) == 0
    assert (tmp_path / "cleaned").exists()


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
        "    with open_sandbox(WorkerConfig(job_id=sys.argv[2], token='t', workspace=place)) as sandbox:\n"
        "        async with Processes(None, sandbox) as processes:\n"
        "            await processes.run(['true'], directory=directory, environment=dict(os.environ), timeout=30)\n"
        "            print(processes._launcher.pid, flush=True)\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "trio.run(main)\n"
    )
    ended = await trio.run_process(
        [sys.executable, "-c", program, str(workspace), JOB_ID], capture_stdout=True, check=False
    )
    launcher = int(ended.stdout)
    with trio.fail_after(LIMIT):
        # It is not our child, so no event reports its end.
        while is_running(launcher):  # noqa: ASYNC110
            await trio.sleep(0.02)
    reap(launcher)


def reap(pid: int) -> None:
    """Reap an orphan, which is our child if an earlier test has made us a subreaper."""
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
