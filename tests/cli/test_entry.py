"""The program's start and end: what it imports, the signals it keeps, and an exit that nothing delays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import trioworker

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE = str(Path(trioworker.__file__).parent.parent)
TIMEOUT = 60
STANDARD_MODULES = ("typing", "trio", "signal", "re", "json", "runpy", "__future__", "msgspec", "enum", "trioworker")


def run(*command: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": SOURCE, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


def program_with_main(code: str) -> str:
    """The program with `code` as the body of its `main`."""
    body = "\n".join(f"    {line}" for line in code.splitlines())
    return f"import sys\nfrom trioworker.cli import entry, main\ndef other():\n{body}\nmain.main = other\nentry.run()"


def run_with_main(code: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-c", program_with_main(code))


@pytest.mark.parametrize("arguments", [("--version",), ("worker",), ("local", "x", "--llm", "script:no.yaml")])
def test_modules_in_the_working_directory_do_not_run(tmp_path: Path, arguments: Sequence[str]) -> None:
    # Not trioworker itself: with `-m`, Python has found it before any of our code runs.
    for name in {*STANDARD_MODULES, "argparse", "sqlite3", "yaml", "starlette"} - {"trioworker"}:
        (tmp_path / f"{name}.py").write_text(f"import os; os.write(2, b'{name} ran'); os._exit(99)")
    ended = run(sys.executable, "-m", "trioworker", *arguments, cwd=tmp_path)
    assert " ran" not in ended.stderr
    assert ended.returncode in {0, 2}


def test_a_search_path_from_the_user_is_kept(tmp_path: Path) -> None:
    (tmp_path / "noting.py").write_text("raise SystemExit('the instrument was imported')")
    arguments = ("worker", "--job-id", "00000000-0000-4000-8000-000000000000", "--instrument", "noting:Noting")
    path = f"{SOURCE}{os.pathsep}{tmp_path}"
    ended = run(
        *(sys.executable, "-m", "trioworker", *arguments),
        cwd=tmp_path,
        PYTHONPATH=path,
        IRONCLAW_WORKER_TOKEN="token",
        IRONCLAW_WORKSPACE=str(tmp_path),
    )
    assert "the instrument was imported" in ended.stderr


def test_exit_code_is_that_of_main() -> None:
    ended = run_with_main("print('out')\nprint('err', file=sys.stderr)\nreturn 3")
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "out\n", "err\n")


def test_defect_is_a_traceback_and_exit_code_5() -> None:
    ended = run_with_main("raise LookupError('odd')")
    assert ended.returncode == 5
    assert "LookupError: odd" in ended.stderr


def test_threads_inside_a_library_do_not_abort_the_exit() -> None:
    ended = run_with_main("""\
import re2, threading, time
text, pattern = "xy" * 20_000, re2.compile("(x+)+z")
def search():
    while True:
        pattern.search(text)
for _ in range(4):
    threading.Thread(target=search, daemon=True).start()
time.sleep(0.2)
return 3
""")
    assert (ended.returncode, ended.stderr) == (3, "")


def test_exit_functions_run() -> None:
    ended = run_with_main("import atexit\natexit.register(print, 'last')\nreturn 3")
    assert (ended.returncode, ended.stdout) == (3, "last\n")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_that_nobody_reads_does_not_hang_the_exit(stream: str) -> None:
    reader, writer = os.pipe()
    program = program_with_main(f"print('x' * 200_000, file=sys.{stream})\nreturn 3")
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    try:
        out, err = (writer, None) if stream == "stdout" else (None, writer)
        with subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=out, stderr=err) as process:
            assert process.wait(TIMEOUT) == 3
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_at_the_start_of_another_command_exits_with_4(tmp_path: Path, number: signal.Signals) -> None:
    fifo = tmp_path / "jobs"
    os.mkfifo(fifo)
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    command = [sys.executable, "-m", "trioworker", "fleet", str(fifo)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        # Returns when the fleet reads its jobs, which never come.
        with fifo.open("w"):
            process.send_signal(number)
            assert process.wait(TIMEOUT) == 4
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_worker_of_a_zipapp_finds_the_package(tmp_path: Path) -> None:
    """Like shiv: the packages are on the search path of the started program, and not on the interpreter's own."""
    (tmp_path / "turns.yaml").write_text("- content: The job is complete.\n")
    (tmp_path / "workspace").mkdir()
    base: str = getattr(sys, "_base_executable", sys.executable)
    path = [SOURCE, *(folder for folder in sys.path if "site-packages" in folder)]
    start = f"import sys; sys.path[1:1] = {path!r}; from trioworker.cli.entry import run; run()"
    arguments = ("local", "x", "--llm", f"script:{tmp_path}/turns.yaml", "--workspace", str(tmp_path / "workspace"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [base, "-c", start, *arguments, "--state-dir", str(tmp_path / "state")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert ended.returncode == 0, ended.stderr
    assert "\ncompleted (" in ended.stdout
