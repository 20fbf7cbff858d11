from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest
import trio

from support.program import is_running
from trioworker.worker.processes.output import MAX_COLLECTED_BYTES
from trioworker.worker.processes.processes import CommandResult, Processes
from worker.processes.conftest import LONG, TIMEOUT, number_in, open_directory, run, written

if TYPE_CHECKING:
    from pathlib import Path

    from worker.processes.conftest import MakeProcesses


async def test_a_command_runs_in_the_directory_and_stdout_and_stderr_are_merged(
    make: MakeProcesses, tmp_path: Path
) -> None:
    async with make() as processes:
        ended = await run(processes, "pwd; echo error >&2; exit 3", tmp_path)
    assert ended == CommandResult(output=f"{tmp_path}\nerror\n", exit_code=3)


async def test_a_signal_is_a_negative_exit_code(make: MakeProcesses, tmp_path: Path) -> None:
    async with make() as processes:
        assert (await run(processes, "kill -9 $$", tmp_path)).exit_code == -signal.SIGKILL


async def test_ten_megabytes_of_output_are_truncated_to_head_and_tail(make: MakeProcesses, tmp_path: Path) -> None:
    async with make() as processes:
        ended = await run(processes, "echo first; head -c 10000000 /dev/zero | tr '\\0' x; echo; echo last", tmp_path)
    assert ended.exit_code == 0
    assert ended.output.startswith("first\nxxx")
    assert ended.output.endswith("xxx\nlast\n")
    assert " bytes of the output were dropped here]\n" in ended.output
    assert not ended.is_complete
    assert len(ended.output) <= MAX_COLLECTED_BYTES + 100


async def test_a_long_output_needs_no_thread(
    make: MakeProcesses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with make() as processes:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        ended = await run(processes, "seq 100000", tmp_path)
    assert ended.output.endswith("\n100000\n")


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
        assert is_running(child)
        assert (await run(processes, f"kill -0 {child}", tmp_path)).exit_code == 0
    assert not is_running(child)


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
        assert not is_running(await written(tmp_path / "child"))


async def test_processes_that_ignore_sigterm_are_killed(make: MakeProcesses, tmp_path: Path) -> None:
    child = f"trap '' TERM; echo \\$\\$ > child; sleep {LONG}; sleep {LONG}"
    script = f"trap '' TERM; echo started; sh -c \"{child}\"; sleep {LONG}"
    async with make() as processes:
        ended = await run_into_time_out(processes, script, tmp_path / "child")
        assert ended.output == "started\n"
        assert not is_running(await written(tmp_path / "child"))


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
            assert is_running(child)
        elif end == "time-out":
            await run_into_time_out(processes, f"{escape}\nsleep {LONG}", tmp_path / "child")
            child = await written(tmp_path / "child")
            assert not is_running(child)
        else:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run, processes, f"{escape}\nsleep {LONG}", tmp_path, float(LONG))
                child = await written(tmp_path / "child")
                nursery.cancel_scope.cancel()
            assert not is_running(child)
    assert not is_running(child)


async def test_a_time_out_keeps_processes_of_earlier_calls(make: MakeProcesses, tmp_path: Path) -> None:
    async with make() as processes:
        server = int((await run(processes, f"sleep {LONG} & echo $!", tmp_path)).output)
        await run(processes, "(setsid sh -c 'echo $$ > child; exec sleep 300' &)", tmp_path)
        daemon = await written(tmp_path / "child")
        await run(processes, f"sleep {LONG}", tmp_path, 0.1)
        assert is_running(server)
        assert is_running(daemon)
    assert not is_running(server)
    assert not is_running(daemon)


async def test_cancelling_the_call_terminates_the_tree(make: MakeProcesses, tmp_path: Path) -> None:
    async with make() as processes:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, processes, f"sleep {LONG} & echo $! > child; wait", tmp_path, float(LONG))
            child = await written(tmp_path / "child")
            nursery.cancel_scope.cancel()
        assert not is_running(child)


async def test_cancelling_the_block_terminates_everything(make: MakeProcesses, tmp_path: Path) -> None:
    child = 0
    with trio.CancelScope() as scope:
        async with make() as processes:
            child = int((await run(processes, f"sleep {LONG} & echo $!", tmp_path)).output)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert child
    assert not is_running(child)


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
        assert not is_running(mine)
        assert is_running(theirs)
    assert not is_running(theirs)


async def test_a_fork_storm_is_terminated(make: MakeProcesses, tmp_path: Path) -> None:
    script = "i=0; while [ $i -lt 150 ]; do (trap '' TERM; while :; do sleep 0.05; done) & i=$((i+1)); done; wait"
    async with make() as processes:
        with trio.fail_after(TIMEOUT):
            await run(processes, script, tmp_path, 0.4)
        assert (await run(processes, "true", tmp_path)).exit_code == 0
