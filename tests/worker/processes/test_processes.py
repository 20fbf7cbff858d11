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

from support.walls import wall_around
from trioworker.worker.processes.processes import Ended, Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    Table = Callable[[], Processes]

SOON = 5.0
"""Seconds that something which must happen at once may take on a busy machine."""
LONG = 30
"""Seconds that a command would run if nobody ended it: longer than any test may take."""


@pytest.fixture(params=["unconfined", "confined"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    """Makes process tables, whose commands behave the same behind a wall."""
    if request.param == "unconfined":
        yield Processes
        return
    with wall_around(tmp_path) as sandbox:
        yield lambda: Processes(None, sandbox)


async def run(processes: Processes, script: str, folder: Path, timeout: float = SOON) -> Ended:  # noqa: ASYNC109 - handed on
    with opened(folder) as directory:
        return await processes.run(
            ["sh", "-c", script], directory=directory, environment={"PATH": os.environ["PATH"]}, timeout=timeout
        )


@contextmanager
def opened(folder: Path) -> Generator[int]:
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
    """The number that a process writes to a file."""
    with trio.fail_after(SOON):
        # Another process writes it, which has no event of ours.
        while not (text := number_in(file)):  # noqa: ASYNC110
            await trio.sleep(0.01)
    return int(text)


def number_in(file: Path) -> str:
    try:
        text = file.read_text()
    except FileNotFoundError:
        return ""
    return text if text.endswith("\n") else ""


async def test_a_command_runs_in_the_directory_and_its_output_comes_as_one(table: Table, tmp_path: Path) -> None:
    async with table() as processes:
        ended = await run(processes, "pwd; echo error >&2; exit 3", tmp_path)
    assert ended == Ended(output=f"{tmp_path}\nerror\n", exit_code=3)


async def test_a_signal_is_told(table: Table, tmp_path: Path) -> None:
    async with table() as processes:
        assert (await run(processes, "kill -9 $$", tmp_path)).exit_code == -signal.SIGKILL


async def test_three_megabytes_of_output_hang_nothing_and_keep_head_and_tail(table: Table, tmp_path: Path) -> None:
    async with table() as processes:
        ended = await run(processes, "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last", tmp_path)
    assert ended.exit_code == 0
    assert ended.output.startswith("first\nxxx")
    assert ended.output.endswith("xxx\nlast\n")
    assert "... [truncated 29" in ended.output
    assert len(ended.output) < 66_000


async def test_standard_input_is_empty(table: Table, tmp_path: Path) -> None:
    async with table() as processes:
        assert await run(processes, "read x || echo nothing", tmp_path) == Ended(output="nothing\n", exit_code=0)


async def test_a_command_that_is_not_there_is_an_os_error(table: Table, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    async with table() as processes:
        with opened(tmp_path) as directory, pytest.raises(FileNotFoundError):
            await processes.run(["/none"], directory=directory, environment={}, timeout=SOON)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_running_outside_of_the_block_is_an_error(table: Table, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await run(table(), "true", tmp_path)


async def test_a_background_child_does_not_hold_the_call_and_lives_on(table: Table, tmp_path: Path) -> None:
    async with table() as processes:
        with trio.fail_after(SOON):
            ended = await run(processes, f"sleep {LONG} & echo $!", tmp_path)
        child = int(ended.output)
        assert alive(child)
        assert (await run(processes, f"kill -0 {child}", tmp_path)).exit_code == 0
    assert not alive(child)


async def test_a_background_child_may_write_on_after_the_call(table: Table, tmp_path: Path) -> None:
    script = "(sleep 0.2; head -c 300000 /dev/zero; echo $? > done) & echo started"
    async with table() as processes:
        assert (await run(processes, script, tmp_path)).output == "started\n"
        assert await written(tmp_path / "done") == 0


async def test_a_time_out_ends_the_tree_and_keeps_the_output(table: Table, tmp_path: Path) -> None:
    script = f"echo begun; sleep {LONG} & echo $! > child; wait"
    async with table() as processes:
        with trio.fail_after(SOON):
            ended = await run(processes, script, tmp_path, 0.3)
        assert ended == Ended(output="begun\n", exit_code=None)
        assert not alive(await written(tmp_path / "child"))


async def test_who_ignores_sigterm_is_killed(table: Table, tmp_path: Path) -> None:
    script = (
        f"trap '' TERM; echo begun; sh -c \"trap '' TERM; echo \\$\\$ > child; sleep {LONG}; sleep {LONG}\"; sleep 9"
    )
    async with table() as processes:
        with trio.fail_after(SOON):
            ended = await run(processes, script, tmp_path, 0.3)
        assert ended.output == "begun\n"
        assert not alive(await written(tmp_path / "child"))


async def test_sigterm_comes_first_and_what_is_said_at_it_is_kept(table: Table, tmp_path: Path) -> None:
    async with table() as processes:
        ended = await run(processes, f"trap 'echo cleaned; exit' TERM; sleep {LONG} & wait", tmp_path, 0.3)
    assert ended == Ended(output="cleaned\n", exit_code=None)


@pytest.mark.parametrize(
    "escape",
    [
        "setsid sh -c 'echo $$ > child; exec sleep 30' &",
        "(setsid sh -c 'echo $$ > child; exec sleep 30' &)",
        "(setsid env -i sh -c 'echo $$ > child; exec sleep 30' &)",
        "setsid sh -c '(setsid sh -c \"echo \\$\\$ > child; exec sleep 30\" &)'",
    ],
    ids=["session", "orphan", "orphan-without-environment", "twice"],
)
@pytest.mark.parametrize("end", ["time-out", "cancel", "job"])
async def test_who_left_the_session_dies_too(table: Table, tmp_path: Path, escape: str, end: str) -> None:
    async with table() as processes:
        if end == "job":
            await run(processes, escape, tmp_path)
            child = await written(tmp_path / "child")
            assert alive(child)
        else:
            with trio.move_on_after(0.4 if end == "cancel" else SOON):
                await run(processes, f"{escape}\nsleep {LONG}", tmp_path, 0.4 if end == "time-out" else LONG)
            child = await written(tmp_path / "child")
            assert not alive(child)
    assert not alive(child)


async def test_a_time_out_spares_what_an_earlier_call_left(table: Table, tmp_path: Path) -> None:
    async with table() as processes:
        server = int((await run(processes, f"sleep {LONG} & echo $!", tmp_path)).output)
        await run(processes, "(setsid sh -c 'echo $$ > child; exec sleep 30' &)", tmp_path)
        daemon = await written(tmp_path / "child")
        await run(processes, f"sleep {LONG}", tmp_path, 0.1)
        assert alive(server)
        assert alive(daemon)
    assert not alive(server)
    assert not alive(daemon)


async def test_cancelling_the_call_ends_the_tree(table: Table, tmp_path: Path) -> None:
    async with table() as processes:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, processes, f"sleep {LONG} & echo $! > child; wait", tmp_path, float(LONG))
            child = await written(tmp_path / "child")
            nursery.cancel_scope.cancel()
        assert not alive(child)


async def test_cancelling_the_whole_block_ends_everything(table: Table, tmp_path: Path) -> None:
    child = 0
    with trio.CancelScope() as scope:
        async with table() as processes:
            child = int((await run(processes, f"sleep {LONG} & echo $!", tmp_path)).output)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert child
    assert not alive(child)


async def test_the_table_can_be_entered_again_and_swept_afterwards(table: Table, tmp_path: Path) -> None:
    processes = table()
    for _ in range(2):
        async with processes:
            assert (await run(processes, "echo again", tmp_path)).output == "again\n"
    await processes.end_all()


async def test_two_tables_leave_each_other_alone(table: Table, tmp_path: Path) -> None:
    async with table() as one, table() as other:
        mine = int((await run(one, f"sleep {LONG} & echo $!", tmp_path)).output)
        await run(other, "(setsid sh -c 'echo $$ > child; exec sleep 30' &)", tmp_path)
        theirs = await written(tmp_path / "child")
        await one.end_all()
        assert not alive(mine)
        assert alive(theirs)
    assert not alive(theirs)


async def test_children_of_the_program_around_us_are_left_alone(table: Table, tmp_path: Path) -> None:
    with (
        foreign("sleep 30") as ours,
        foreign("exit 7", session=True) as dead,
        foreign("sleep 30", session=True) as session,
    ):
        async with table() as processes:
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


async def test_orphans_do_not_stay_zombies(table: Table, tmp_path: Path) -> None:
    async with table() as processes:
        for _ in range(3):
            await run(processes, "(sh -c 'exit 0' &); (setsid sh -c 'exit 0' &); sleep 0.05", tmp_path)
        with trio.fail_after(SOON):
            while zombies():
                await run(processes, "true", tmp_path)
        await run(processes, "(setsid sh -c 'echo $$ > child; exec sleep 30' &)", tmp_path)
        await written(tmp_path / "child")
    assert zombies() == []


async def test_orphans_are_reaped_while_a_long_call_runs(table: Table, tmp_path: Path) -> None:
    script = "for i in 1 2 3; do (setsid sh -c 'exit 0' &); (sh -c 'exit 0' &); done; echo $$ > started; exec sleep 60"
    async with table() as processes, trio.open_nursery() as nursery:
        nursery.start_soon(run, processes, script, tmp_path, 60.0)
        await written(tmp_path / "started")
        with trio.fail_after(SOON):
            # The kernel tells of a death by a signal, which the code under test hears, not the test.
            while zombies():  # noqa: ASYNC110
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()


def zombies() -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if fields[0] == "Z" and int(fields[1]) == os.getpid():
                found.append(int(entry.name))
    return found


async def test_a_storm_of_forks_ends(table: Table, tmp_path: Path) -> None:
    script = "i=0; while [ $i -lt 150 ]; do (trap '' TERM; while :; do sleep 0.05; done) & i=$((i+1)); done; wait"
    async with table() as processes:
        with trio.fail_after(2 * SOON):
            await run(processes, script, tmp_path, 0.4)
        assert (await run(processes, "true", tmp_path)).exit_code == 0


@pytest.mark.parametrize("containment", ["off", "auto"])
def test_it_works_as_process_one(tmp_path: Path, containment: str) -> None:
    """In a namespace of its own, where this user may make one: the worker is init, and must reap."""
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
        "        ended = await processes.run(['sh', '-c', 'setsid sleep 30 & (sleep 30 &) ; echo ok'],\n"
        "            directory=directory, environment=dict(os.environ), timeout=5)\n"
        "        print(ended.output, end='')\n"
        "    print(sum(name.isdecimal() for name in os.listdir('/proc')))\n"
        "trio.run(main)\n"
    )
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", program]
    source = str(Path(__file__).parents[2] / "src")
    ended = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": source}, timeout=30, check=False
    )
    if "unshare" in ended.stderr:
        pytest.skip("no right to make a namespace here")
    assert ended.stdout == "ok\n1\n", ended.stderr
