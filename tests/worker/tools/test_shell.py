from __future__ import annotations

import dataclasses
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trioworker.errors import InvalidParametersError, ToolError
from trioworker.worker.tools.arguments import parse_arguments
from trioworker.worker.tools.base import ToolContext, ToolResult
from trioworker.worker.tools.shell import Shell, ShellParameters

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call


async def test_result_is_the_output(call: Call) -> None:
    assert await call("shell", command="echo hello; echo") == ToolResult(text="hello\n", exit_code=0)
    assert await call("shell", command="true") == ToolResult(text="[no output]", exit_code=0)


async def test_failed_command_is_a_result_whose_last_line_is_the_exit_code(call: Call) -> None:
    assert await call("shell", command="echo no >&2; false") == ToolResult(text="no\n[exit code 1]", exit_code=1)
    assert await call("shell", command="exit 3") == ToolResult(text="[exit code 3]", exit_code=3)


async def test_progress_bar_is_shown_as_a_terminal_leaves_it(call: Call) -> None:
    command = r"for p in 10 50 100; do printf '\r\033[32m%3d%%\033[0m' $p; done; echo"
    assert (await call("shell", command=command)).text == "100%"


async def test_output_of_which_only_a_part_was_kept_says_so(call: Call) -> None:
    result = await call("shell", command="yes a line | head -c 9100000; exit 1")
    assert "\na line\n[only the first and last 4 MiB of the output were kept, also in the file; to keep" in result.text
    assert result.text.endswith("]\n[exit code 1]")


async def test_binary_output_is_only_counted(call: Call) -> None:
    assert (await call("shell", command="head -c 3000 /dev/zero")).text == "binary, 3000 bytes"


async def test_signal_gives_the_exit_code_of_shells(call: Call) -> None:
    ended = await call("shell", command="echo a; kill -TERM $$")
    assert ended == ToolResult(text="a\n[killed by SIGTERM]\n[exit code 143]", exit_code=143)


async def test_signal_that_kills_a_process_of_the_command_is_named(call: Call) -> None:
    ended = await call("shell", command="(kill -KILL $BASHPID); exit $?")
    assert ended.text.endswith("[killed by SIGKILL]\n[exit code 137]")
    assert (await call("shell", command="exit 255")).text == "[exit code 255]"


async def test_command_runs_in_the_workspace_or_workdir(call: Call, root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    assert (await call("shell", command="pwd")).text == str(root)
    assert (await call("shell", command="pwd", workdir="a/b")).text == f"{root}/a/b"
    assert (await call("shell", command="pwd", workdir=str(root / "a"))).text == f"{root}/a"


@pytest.mark.parametrize(
    ("workdir", "message"),
    [
        ("none", "no such file"),
        ("..", "outside the workspace"),
        ("/etc", "outside the workspace"),
        ("file", "director"),
    ],
)
async def test_invalid_workdir_is_an_error(call: Call, root: Path, workdir: str, message: str) -> None:
    (root / "file").touch()
    with pytest.raises(ToolError, match=rf"^cannot enter .*: .*{message}"):
        await call("shell", command="pwd", workdir=workdir)


async def test_timeout_is_an_error_with_the_output_until_then(call: Call) -> None:
    with trio.fail_after(5), pytest.raises(ToolError, match=r"^timed out after 0\.2 s; output until then:\nbegun$"):
        await call("shell", command="echo begun; sleep 30", timeout="0.2")


async def test_timeout_in_milliseconds_is_recognized(call: Call) -> None:
    with trio.fail_after(10), pytest.raises(ToolError, match=r"^timed out after 3\.61 s"):
        await call("shell", command="sleep 30", timeout=3610)


async def test_timeout_over_the_remaining_time_is_lowered_and_the_result_says_so(context: ToolContext) -> None:
    short = dataclasses.replace(context, deadline=trio.current_time() + 4)
    result = await Shell().run(ShellParameters(command="echo done", timeout=600), short)
    assert result.text == "done\n[timeout lowered to 3 s, because the job is almost out of time]"
    assert (await Shell().run(ShellParameters(command="echo done"), short)).text == "done"
    shorter = dataclasses.replace(context, deadline=trio.current_time() + 0.4)
    with pytest.raises(ToolError, match=r"(?s)^timed out after 0\.\d+ s; .*\nbegun\n\[timeout lowered"):
        await Shell().run(ShellParameters(command="echo begun; sleep 30"), shorter)


@pytest.mark.parametrize("timeout", [0, -1, "soon", True and [1]])
def test_timeout_must_be_a_positive_number(timeout: object) -> None:
    with pytest.raises(InvalidParametersError, match="timeout: "):
        parse_arguments(ShellParameters, {"command": "true", "timeout": timeout})


@pytest.mark.parametrize(("timeout", "least"), [(None, 120), (1, 1), (3000, 3000)])
def test_time_limit_exceeds_the_timeout(timeout: float | None, least: float) -> None:
    assert Shell().time_limit(ShellParameters(command="true", timeout=timeout)) > least + 2


@pytest.mark.parametrize(
    "program", ["git --no-pager --version", "git clone --quiet http://127.0.0.1:9/x", "python3 -c 'input()'"]
)
async def test_command_never_waits_for_input(call: Call, program: str) -> None:
    with trio.fail_after(20):
        result = await call("shell", command=program)
    assert isinstance(result.exit_code, int)


async def test_command_sees_allowed_variables_credentials_and_no_secret(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRONCLAW_WORKER_TOKEN", "hidden-token")
    output = (await call("shell", command="env")).text
    assert "GRANTED=yes" in output.split("\n")
    assert "CI=1" in output.split("\n")
    assert "hidden-token" not in output


async def test_refusal_names_the_pattern(call: Call) -> None:
    with pytest.raises(ToolError, match=r"^refused: rm -rf /: name the folder"):
        await call("shell", command="rm -rf /")


async def test_invalid_command_is_an_error(call: Call) -> None:
    with pytest.raises(ToolError, match="bytes exceed the limit of 131071; write a script"):
        await call("shell", command="x" * 10_000_000)
    with pytest.raises(ToolError, match="not valid Unicode"):
        await call("shell", command="echo \ud800")
    with pytest.raises(InvalidParametersError, match="command: must not contain NUL"):
        await call("shell", command="echo \0")


async def test_command_of_the_maximum_length_runs(call: Call) -> None:
    command = "echo " + "x" * (131_071 - 5)
    assert (await call("shell", command=command)).text.startswith("xxx")


async def test_sh_is_used_without_bash(context: ToolContext, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")
    poor = ToolContext(
        workspace=context.workspace,
        environment={"PATH": str(tmp_path / "bin")},
        processes=context.processes,
    )
    assert (await Shell().run(ShellParameters(command="echo $0"), poor)).text == f"{tmp_path}/bin/sh"
    (tmp_path / "bin" / "sh").unlink()
    with pytest.raises(ToolError, match=r"cannot run in \.: no such file"):
        await Shell().run(ShellParameters(command="true"), poor)


async def test_invalid_utf8_is_replaced(call: Call) -> None:
    assert (await call("shell", command=r"printf 'in Latin-1: stra\337e'")).text == "in Latin-1: stra\ufffde"


async def test_folder_is_entered_by_descriptor_when_the_worker_is_not_dumpable() -> None:
    """As in a container: not root, and other processes can't read the worker's memory."""
    program = (
        "import os, sys, trio\n"
        "from trioworker.worker.processes.environment import child_environment, forget_token\n"
        "from trioworker.worker.tools.base import ToolContext\n"
        "from trioworker.worker.tools.workspace import Workspace\n"
        "from trioworker.worker.processes.processes import Processes\n"
        "from trioworker.worker.tools.shell import Shell, ShellParameters\n"
        "from pathlib import Path\n"
        "import ctypes\n"
        "os.setgid(1000) if os.getuid() == 0 else None\n"
        "os.setuid(1000) if os.getuid() == 0 else None\n"
        "async def main():\n"
        "    forget_token()\n"
        "    async with Processes() as processes:\n"
        "        with Workspace.open(Path('/tmp')) as workspace:\n"
        "            environment = child_environment(os.environ, {})\n"
        "            context = ToolContext(workspace=workspace, environment=environment, processes=processes)\n"
        "            script = f'pwd; cat /proc/{os.getpid()}/environ; (setsid env -i sleep 30 &)'\n"
        "            print((await Shell().run(ShellParameters(command=script), context)).text)\n"
        "trio.run(main)\n"
    )
    environment = {**os.environ, "TRIOWORKER_TOKEN": "hidden", "PYTHONPATH": os.pathsep.join(sys.path)}
    result: Any = await trio.run_process([sys.executable, "-c", program], capture_stdout=True, env=environment)
    output = result.stdout.decode()
    assert output.startswith("/tmp\n")
    assert "ermission denied" in output
    assert "hidden" not in output
