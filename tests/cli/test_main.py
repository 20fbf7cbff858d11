"""The command line as a program: what goes to which stream, and the exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

import trioworker
from support.loopback import Loopback
from trioworker.cli.exit_codes import EXIT_CODES, FLEET_EXIT_CODES, HEALTH_EXIT_CODES, JOBS_EXIT_CODES
from trioworker.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOURCE = str(Path(trioworker.__file__).parent.parent)
JOB_ID = "123e4567-e89b-12d3-a456-426614174000"
TOKEN = "-".join(("cli", "token", "5d81"))
WORKER = ("worker", "--job-id", JOB_ID)


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Our environment without what could configure a worker; the rest stays, for coverage in child processes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRIOWORKER_", "IRONCLAW_"))}
    return {**kept, "PYTHONPATH": SOURCE, "IRONCLAW_WORKER_TOKEN": TOKEN, **more}


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trioworker", *arguments],
        env=environment(variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


BAD_USAGE: list[tuple[Sequence[str], dict[str, str], str]] = [
    (("--",), {}, "COMMAND"),
    (("dance",), {}, "dance"),
    (("worker",), {}, "--job-id is missing"),
    (WORKER, {"IRONCLAW_WORKER_TOKEN": ""}, "IRONCLAW_WORKER_TOKEN is not set"),
    (("worker", "--job-id", "seven"), {}, "--job-id: 'seven' is not a UUID"),
    (("worker",), {"IRONCLAW_JOB_ID": "eight"}, "IRONCLAW_JOB_ID: 'eight' is not a UUID"),
    ((*WORKER, "--orchestrator-url", "localhost:1"), {}, "--orchestrator-url: 'localhost:1' is not an http://"),
    (WORKER, {"TRIOWORKER_ORCHESTRATOR_URL": "gopher://x"}, "TRIOWORKER_ORCHESTRATOR_URL: 'gopher://x' is not"),
    ((*WORKER, "--orchestrator-url", "ftp://x"), {}, "--orchestrator-url: 'ftp://x' is not an http://"),
    ((*WORKER, "--orchestrator-url", "http://x:99999"), {}, "--orchestrator-url: 'http://x:99999' is not an http://"),
    ((*WORKER, "--workspace", "/not/there"), {}, "--workspace: '/not/there' is not a folder that exists"),
    (WORKER, {"IRONCLAW_WORKSPACE": "/not/there"}, "IRONCLAW_WORKSPACE: '/not/there' is not"),
    ((*WORKER, "--max-iterations", "501"), {}, "--max-iterations: '501' is not a whole number from 1 to 500"),
    ((*WORKER, "--max-iterations", "0"), {}, "--max-iterations: '0' is not"),
    ((*WORKER, "--timeout", "-3"), {}, "--timeout"),
    ((*WORKER, "--timeout=-3"), {}, "--timeout: '-3' is not a number of seconds over 0"),
    ((*WORKER, "--timeout", "nan"), {}, "--timeout: 'nan' is not a number of seconds over 0"),
    ((*WORKER, "--reasoning", "wild"), {}, "--reasoning: 'wild' is not single or two-phase"),
    ((*WORKER, "--speed", "9"), {}, "--speed"),
    ((*WORKER, "--timeout"), {}, "--timeout needs a value; see trioworker worker --help"),
    ((*WORKER, "two\nlines"), {}, r"unexpected argument 'two\nlines'"),
]


@pytest.mark.parametrize(("arguments", "variables", "message"), BAD_USAGE, ids=lambda value: str(value)[-40:])
def test_bad_usage_is_one_line_and_exit_code_2(
    arguments: Sequence[str],
    variables: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in os.environ.keys() - environment({}).keys():
        monkeypatch.delenv(name)
    for name, value in {"IRONCLAW_WORKER_TOKEN": TOKEN, **variables}.items():
        monkeypatch.setenv(name, value)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("trioworker: ")
    assert err.count("\n") == 1
    assert message in err
    assert TOKEN not in err


def test_program_writes_errors_to_stderr() -> None:
    ended = run("worker", "--job-id", "seven")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "trioworker: --job-id: 'seven' is not a UUID, such as 123e4567-e89b-12d3-a456-426614174000\n"


@pytest.mark.parametrize(("code", "body"), [(401, b"wrong token"), (403, b"no"), (404, b"no such job"), (410, b"")])
async def test_refusing_orchestrator_is_one_line_and_exit_code_3(code: int, body: bytes, tmp_path: Path) -> None:
    server = Loopback(body, status=code)
    async with server.running() as url:
        ended = await trio.run_process(
            [sys.executable, "-m", "trioworker", *WORKER, "--orchestrator-url", url, "--workspace", str(tmp_path)],
            env=environment({}),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    assert ended.returncode == 3
    assert ended.stdout == b""
    error = ended.stderr.decode()
    assert error.startswith(f"trioworker: GET {url}/worker/{JOB_ID}/job: answered {code}")
    assert error.count("\n") == 1
    assert TOKEN not in error
    # The job and its credentials, each requested once.
    assert server.requests <= 2


@pytest.mark.parametrize(
    ("command", "exit_codes"),
    [
        ("worker", EXIT_CODES),
        ("local", EXIT_CODES),
        ("orchestrator", EXIT_CODES),
        ("fleet", FLEET_EXIT_CODES),
        ("jobs", JOBS_EXIT_CODES),
        ("health", HEALTH_EXIT_CODES),
    ],
)
def test_help_lists_the_exit_codes_of_the_command(
    command: str, exit_codes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    shown = capsys.readouterr()
    assert (ended.value.code, shown.err) == (0, "")
    others = {EXIT_CODES, FLEET_EXIT_CODES, JOBS_EXIT_CODES, HEALTH_EXIT_CODES} - {exit_codes}
    assert exit_codes.strip() in shown.out
    assert not any(other.strip() in shown.out for other in others)


def test_help_names_the_commands() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    for command in ("worker", "local", "orchestrator", "health", "tree", "fleet", "--version"):
        assert f"\n    {command}" in ended.stdout or f"\n  {command}" in ended.stdout
    assert EXIT_CODES in ended.stdout


def test_version_is_that_of_the_installed_distribution(tmp_path: Path) -> None:
    metadata = tmp_path / "trioworker-12.34.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: trioworker\nVersion: 12.34\n")
    ended = run("--version", PYTHONPATH=f"{tmp_path}{os.pathsep}{SOURCE}")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "trioworker 12.34\n", "")


def test_bad_option_is_reported_before_anything_heavy_is_imported() -> None:
    commands = ("worker --job-id x", "local", "orchestrator --port x", "health", "tree", "fleet x --cpu 0")
    code = (
        "import sys; from trioworker.cli.main import main; codes = [main(each.split()) for each in sys.argv[1:]];"
        "print(*codes, *{'trio', 'httpx', 'h11', 'loguru', 'asyncio', 'ssl', 'starlette', 'rich'} & {*sys.modules})"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *commands],
        env=environment({}),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert ended.stdout == "2 2 2 2 2 2\n"
