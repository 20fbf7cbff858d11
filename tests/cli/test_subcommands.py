"""What the subcommands refuse before they do anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from trioworker.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

JOB_ID = "123e4567-e89b-12d3-a456-426614174000"

LOCAL, HEALTH, FLEET = (
    ["local", "--llm", "script:x"],
    ["health", "--health-socket", "/nonexistent"],
    ["fleet", "jobs.jsonl"],
)

BAD_VARIABLES = [
    (["worker", "--job-id", JOB_ID], "TRIOWORKER_GRACE", "soon", "is not a number of seconds over 0, at most 604800"),
    (LOCAL, "TRIOWORKER_JSON", "maybe", "is not on or off"),
    (LOCAL, "TRIOWORKER_LOG_LEVEL", "loud", "is not debug, info, warning or error"),
    (LOCAL, "IRONCLAW_MAX_ITERATIONS", "0", "is not a whole number from 1 to 500"),
    (["orchestrator"], "TRIOWORKER_LISTEN_PORT", "70000", "is not a whole number from 0 to 65535"),
    (HEALTH, "TRIOWORKER_MAX_IDLE", "-1", "is not a number of seconds over 0, at most 604800"),
    (FLEET, "TRIOWORKER_ENGINE", "slurm", "is not process, ray or kubernetes"),
    (FLEET, "TRIOWORKER_ATTEMPTS", "0", "is not a whole number from 1 to 100"),
]
BAD_USAGE: list[tuple[list[str], dict[str, str], str]] = [
    (["local"], {}, 'the task is missing; describe it: trioworker local "Make the tests pass." --llm openai:http'),
    (["local"], {"TRIOWORKER_LLM": "script:x"}, "the task is missing"),
    (
        ["local", "--resume", "3f2a9c1e", "--state-dir", "/proc/nonexistent"],
        {"TRIOWORKER_LLM": "openai:http://127.0.0.1:1/v1"},
        "--state-dir /proc/nonexistent: No such file or directory",
    ),
    (["local", "x"], {}, "--llm is missing: give it, or set TRIOWORKER_LLM (model: openai, openai:BASE_URL, "),
    (["local"], {"TRIOWORKER_LLM": "replay:"}, "--llm replay:: which cassette? Name a file that `--record` wrote"),
    (["local"], {"TRIOWORKER_LLM": "replay:x", "TRIOWORKER_WEB": "on"}, "--web is for a live job"),
    (["local", "x"], {"TRIOWORKER_LLM": "script:x", "TRIOWORKER_VIRTUAL_TIME": "yes"}, "--virtual-time is for --llm"),
    (
        ["local", "x", "--tool", "no_such:Tool"],
        {"TRIOWORKER_LLM": "script:x"},
        "--tool no_such:Tool: no module no_such;",
    ),
    (["local", "x", "--tool", "a:B", "--tool", "c"], {"TRIOWORKER_LLM": "script:x"}, "--tool: 'a:B,c' is not MODULE:"),
    (["local", "x", "--instrument", "no_such:X"], {"TRIOWORKER_LLM": "script:x"}, "--instrument no_such:X: no module"),
    (["orchestrator"], {"TRIOWORKER_LLM": "psychic"}, "--llm psychic: not a model"),
    *(
        (
            [command, *text],
            {"TRIOWORKER_LLM": "openai:http://127.0.0.1:1/v1", "TRIOWORKER_API_KEY_ENV": "UNSET_KEY"},
            "--api-key-env: the variable UNSET_KEY is not set; set it to the API key",
        )
        for command, text in (("local", ["x"]), ("orchestrator", []))
    ),
    (
        ["worker", "--job-id", JOB_ID],
        {"TRIOWORKER_ON_SIGTERM": "suspend"},
        "--on-sigterm suspend needs a journal, from which a restart resumes the job; give --state-dir, too",
    ),
    (["health"], {}, "--health-socket is missing: give it, or set TRIOWORKER_HEALTH_SOCKET"),
    (["tree"], {}, "--health-socket is missing: give it, or set TRIOWORKER_HEALTH_SOCKET"),
    # Variables that are meant for other subcommands aren't in the way.
    (
        ["fleet", "/nonexistent/tasks.jsonl"],
        {"TRIOWORKER_LLM": "script:x", "TRIOWORKER_WORKSPACE": "."},
        "/nonexistent/tasks.jsonl: No such file or directory",
    ),
    (
        ["fleet", "/nonexistent/jobs.jsonl", "--engine", "ray"],
        {"TRIOWORKER_LLM": "script:x"},
        "/nonexistent/jobs.jsonl: No such file or directory",
    ),
    (
        ["fleet", "/nonexistent/tasks.jsonl", "--workspace", "."],
        {"TRIOWORKER_LLM": "script:x"},
        "--workspace is for jobs of an orchestrator",
    ),
    (
        ["fleet", "/nonexistent/jobs.jsonl", "--orchestrator-url", "http://orchestrator:50051"],
        {"TRIOWORKER_ORCHESTRATOR_ADMIN_TOKEN": "0123456789abcdef"},
        "--orchestrator-url http://orchestrator:50051: plain HTTP would expose the orchestrator's secret",
    ),
    (
        ["fleet", "/nonexistent/jobs.jsonl", "--image", "img:1"],
        {},
        "--image is for --engine kubernetes, not process: choose the engine, or leave out --image",
    ),
    (
        ["fleet", "/nonexistent/jobs.jsonl", "--engine", "ray", "--pod-template", "pod.yaml"],
        {},
        "--pod-template is for --engine kubernetes, not ray: ",
    ),
    (
        ["fleet", "/nonexistent/jobs.jsonl", "--engine", "ray", "--logs", "logs"],
        {},
        "--logs is for --engine process or --engine kubernetes, not ray: ",
    ),
    (
        ["fleet", "/nonexistent/jobs.jsonl"],
        {"TRIOWORKER_IMAGE": "img:1", "TRIOWORKER_NAMESPACE": "jobs"},
        "/nonexistent/jobs.jsonl: No such file or directory",
    ),
    (["fleet"], {}, "the following arguments are required: FILE; see trioworker fleet --help"),
    (["fleet", "/nonexistent/jobs.jsonl"], {}, "/nonexistent/jobs.jsonl: No such file or directory"),
]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("TRIOWORKER_", "IRONCLAW_")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(("arguments", "variable", "text", "message"), BAD_VARIABLES)
def test_bad_variable_is_one_line_that_names_it(
    arguments: list[str],
    variable: str,
    text: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, text)
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", f"trioworker: {variable}: {text!r} {message}\n")


@pytest.mark.parametrize(("arguments", "variables", "message"), BAD_USAGE)
def test_bad_usage_is_one_line_and_exit_code_2(
    arguments: list[str],
    variables: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"trioworker: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        # An id that isn't one shows that the line was read as a job.
        ('{"job_id": "x", "token": "t"}', "1: job_id: 'x' is not a UUID"),
        ('{"task": ""}', "1: `task` is empty; describe what to do"),
        ("", " contains no tasks; give each one a line of JSON"),
    ],
)
def test_the_first_line_says_whether_the_exported_model_is_for_the_fleet(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRIOWORKER_LLM", "script:x")
    path = tmp_path / "lines.jsonl"
    path.write_text(f"{line}\n")
    assert main(["fleet", str(path)]) == 2
    assert f"{path}:{message}" in capsys.readouterr().err


def test_a_model_that_is_given_contradicts_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(f'{{"job_id": "{JOB_ID}", "token": "t"}}\n')
    assert main(["fleet", str(path), "--llm", "script:x"]) == 2
    assert f"{path}:1: a job of an orchestrator, which --llm can't run" in capsys.readouterr().err
