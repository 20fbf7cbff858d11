from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from trioworker.errors import InvalidParametersError, ToolError
from trioworker.worker.tools.arguments import parse_arguments
from trioworker.worker.tools.base import ToolContext
from trioworker.worker.tools.shell import Shell, ShellParameters, ShellResult

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call


async def test_result_has_the_fields_of_the_contract(call: Call) -> None:
    result = await call("shell", command="echo hello")
    assert msgspec.to_builtins(result) == {"output": "hello\n", "exit_code": 0, "success": True, "sandboxed": False}


async def test_failed_command_is_a_result(call: Call) -> None:
    assert await call("shell", command="echo no >&2; false") == ShellResult(output="no\n", exit_code=1, success=False)


async def test_signal_gives_the_exit_code_of_shells(call: Call) -> None:
    assert (await call("shell", command="kill -TERM $$")).exit_code == 143


async def test_command_runs_in_the_workspace_or_workdir(call: Call, root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    assert (await call("shell", command="pwd")).output == f"{root}\n"
    assert (await call("shell", command="pwd", workdir="a/b")).output == f"{root}/a/b\n"
    assert (await call("shell", command="pwd", workdir=str(root / "a"))).output == f"{root}/a\n"


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
    with trio.fail_after(5), pytest.raises(ToolError, match=r"^timed out after 0\.2 s; output until then:\nbegun\n$"):
        await call("shell", command="echo begun; sleep 30", timeout="0.2")


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
    output = (await call("shell", command="env")).output
    assert "GRANTED=yes\n" in output
    assert "CI=1\n" in output
    assert "hidden-token" not in output


async def test_refusal_names_the_pattern(call: Call) -> None:
    with pytest.raises(ToolError, match=r"^refused: rm -rf /: name the folder"):
        await call("shell", command="rm -rf /")


async def test_invalid_command_is_an_error(call: Call) -> None:
    with pytest.raises(ToolError, match="over the limit of 131071; write a script"):
        await call("shell", command="x" * 10_000_000)
    with pytest.raises(ToolError, match="not valid Unicode"):
        await call("shell", command="echo \ud800")
    with pytest.raises(InvalidParametersError, match="command: must not contain NUL"):
        await call("shell", command="echo \0")


async def test_command_of_the_maximum_length_runs(call: Call) -> None:
    command = "echo " + "x" * (131_071 - 5)
    assert (await call("shell", command=command)).output.startswith("xxx")


async def test_sh_is_used_without_bash(context: ToolContext, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")
    poor = ToolContext(
        workspace=context.workspace,
        environment={"PATH": str(tmp_path / "bin")},
        processes=context.processes,
    )
    assert (await Shell().run(ShellParameters(command="echo $0"), poor)).output == f"{tmp_path}/bin/sh\n"
    (tmp_path / "bin" / "sh").unlink()
    with pytest.raises(ToolError, match=r"cannot run in \.: no such file"):
        await Shell().run(ShellParameters(command="true"), poor)


async def test_invalid_utf8_is_replaced(call: Call) -> None:
    assert (await call("shell", command=r"printf 'a\377b'")).output == "a\ufffdb"


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
        "            print((await Shell().run(ShellParameters(command=script), context)).output)\n"
        "trio.run(main)\n"
    )
    environment = {**os.environ, "TRIOWORKER_TOKEN": "hidden", "PYTHONPATH": os.pathsep.join(sys.path)}
    result: Any = await trio.run_process([sys.executable, "-c", program], capture_stdout=True, env=environment)
    output = result.stdout.decode()
    assert output.startswith("/tmp\n")
    assert "ermission denied" in output
    assert "hidden" not in output
