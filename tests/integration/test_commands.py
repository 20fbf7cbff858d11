"""Commands in a real job: large output, no input, background processes; and bad arguments."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from support.realjob import real_job
from trioworker.orchestrator.backends.script import ScriptedCall, Turn
from trioworker.testing import DONE, call, reply
from trioworker.worker.config import DEFAULT_OUTPUT_LIMIT

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("suffix", ["", "; exit 3"])
async def test_output_of_three_megabytes_keeps_head_and_tail(store: Store, workspace: Path, suffix: str) -> None:
    command = f"echo the first line; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo the last line{suffix}"
    async with real_job(store, workspace, [call("shell", command=command), DONE]) as job:
        ended = await job.ended()

    assert ended.code == 0, ended.err
    (result,) = job.model.received("tool")
    assert result.startswith("the first line\nxxx")
    assert result.endswith("xxx\nthe last line" + ("\n[exit code 3]" if suffix else ""))
    cut = re.search(r"xxx\.\.\.\n\[(\d+) bytes of a line left out; the full output is in (/\S+)\]\n\.\.\.xxx", result)
    assert cut is not None
    assert DEFAULT_OUTPUT_LIMIT - 300 < len(result) <= DEFAULT_OUTPUT_LIMIT
    ends = result.replace(cut[0], "xxx" + "xxx")
    assert int(cut[1]) + ends.count("x") - bool(suffix) == 3_000_000
    # The job has ended.
    assert not os.path.exists(cut[2])  # noqa: ASYNC240 - it's local
    (event,) = job.of_type("tool_result")
    assert event["exit_code"] == (3 if suffix else 0)
    assert event["tail"] == result[-2000:]


async def test_background_process_does_not_delay_its_call_and_survives_it(store: Store, workspace: Path) -> None:
    turns = [
        call("shell", command="sleep 300 & echo $! > pid; echo started"),
        call("shell", command="kill -0 $(cat pid) && echo it lives"),
        DONE,
    ]
    async with real_job(store, workspace, turns) as job:
        ended = await job.ended()

        assert job.survivors() == {}
    assert ended.code == 0, ended.err
    assert job.model.received("tool") == ["started", "it lives"]


async def test_commands_have_no_input_to_wait_for(store: Store, workspace: Path) -> None:
    commit = "git init -q . && git config user.name N && git config user.email e@x.invalid && touch f && git add f"
    commands = [
        "cat",
        "python3 -c 'input()'",
        f"{commit} && LC_ALL=C git commit",
        "git log | cat; git --paginate log; man -P less ls >/dev/null 2>&1; echo over",
        "read -r line < /dev/tty",
    ]
    calls = [call("shell", command=command, timeout=30) for command in commands]
    async with real_job(store, workspace, [reply(*calls), DONE]) as job:
        ended = await job.ended()

    assert ended.code == 0, ended.err
    cat, asking, committing, paging, terminal = job.model.received("tool")
    assert cat == "[no output]"
    assert "EOFError" in asking
    assert "no editor here" in committing
    assert "[exit code " in committing
    assert paging.endswith("over")
    assert "/dev/tty" in terminal


async def test_bad_arguments_are_errors_for_the_model_and_the_job_continues(store: Store, workspace: Path) -> None:
    bad: list[tuple[str, object]] = [
        ("read_file", [1, 2]),
        ("read_file", "no object"),
        ("read_file", {"path": 7, "limit": "many"}),
        ("read_file", {}),
        ("read_file", {"path": "a\0b"}),
        ("shell", {"command": "echo \0"}),
        ("no_such_tool", {}),
    ]
    turn = Turn(tool_calls=tuple(ScriptedCall(name=name, arguments=arguments) for name, arguments in bad))
    async with real_job(store, workspace, [turn, DONE]) as job:
        ended = await job.ended()

    assert ended.code == 0, ended.err
    answers = job.model.received("tool")
    expected = [
        "Error: invalid parameters: arguments: ",
        "Error: invalid parameters: arguments: ",
        "Error: invalid parameters: path: Expected `str`, got `int`; limit: Expected `int",
        "Error: invalid parameters: path: required but missing",
        "Error: invalid parameters: path: must not contain NUL bytes",
        "Error: invalid parameters: command: must not contain NUL bytes",
        "Error: tool 'no_such_tool' not found",
    ]
    assert len(answers) == len(expected)
    for answer, start in zip(answers, expected, strict=True):
        assert answer.startswith(start)
    results = job.of_type("tool_result")
    assert [result["success"] for result in results] == [False] * len(expected)


async def test_arguments_of_seven_megabytes_are_an_error_and_the_job_continues(store: Store, workspace: Path) -> None:
    text = "x" * 7_000_000
    turns = [
        reply(call("write_file", path="big.txt", content=text), call("shell", command=f"echo {text}")),
        call("write_file", path="small.txt", content="x"),
        DONE,
    ]
    async with real_job(store, workspace, turns) as job:
        ended = await job.ended()

    assert ended.code == 0, ended.err
    assert not (workspace / "big.txt").exists()
    assert (workspace / "small.txt").read_text() == "x"
    assert [result["success"] for result in job.of_type("tool_result")] == [False, False, True]
    assert all(len(use["input"]) <= 503 for use in job.of_type("tool_use"))
    assert "invalid parameters: arguments: 70" in job.of_type("tool_result")[0]["output"]
