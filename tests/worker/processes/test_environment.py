from __future__ import annotations

import os
import subprocess
import sys

import pytest

from trioworker.worker.processes.environment import child_environment


def test_prompts_pagers_and_progress_bars_are_disabled() -> None:
    child = child_environment({"PAGER": "less", "CI": "false"}, {}, contained=True)
    assert child["CI"] == "1"
    assert child["GIT_TERMINAL_PROMPT"] == "0"
    assert child["DEBIAN_FRONTEND"] == "noninteractive"
    assert child["PAGER"] == child["GIT_PAGER"] == "cat"
    assert child["PIP_PROGRESS_BAR"] == "off"
    assert child["npm_config_progress"] == "false"
    assert child["CARGO_TERM_PROGRESS_WHEN"] == "never"


def test_credentials_are_added_but_never_the_token() -> None:
    child = child_environment(
        {"TRIOWORKER_TOKEN": "t", "IRONCLAW_WORKER_TOKEN": "t"},
        {"GITHUB_TOKEN": "g", "IRONCLAW_WORKER_TOKEN": "t", "TRIOWORKER_TOKEN": "t"},
    )
    assert child["GITHUB_TOKEN"] == "g"
    assert "t" not in child.values()


@pytest.mark.parametrize(("name", "value"), [("", "x"), ("A=B", "x"), ("A B", "x"), ("A", "x\0y")])
def test_invalid_credentials_are_omitted(name: str, value: str) -> None:
    assert value not in child_environment({}, {name: value}).values()


@pytest.mark.parametrize("home", [None, "", "/"])
def test_home_is_always_writable(home: str | None) -> None:
    child = child_environment({} if home is None else {"HOME": home}, {})
    assert os.access(child["HOME"], os.W_OK)
    assert child["HOME"] != "/"


def test_home_is_a_folder_for_a_user_without_a_passwd_entry() -> None:
    program = (
        "import os\n"
        "from trioworker.worker.processes.environment import child_environment\n"
        "if os.getuid() == 0: os.setuid(54321)\n"
        "print(child_environment({}, {})['HOME'])\n"
    )
    home = run_python(program).strip()
    assert os.path.isdir(home)


def test_the_token_is_wiped_from_memory_and_proc() -> None:
    program = (
        "import os, sys\n"
        "from trioworker.worker.processes.environment import forget_token\n"
        "before = open('/proc/self/environ').read()\n"
        "forget_token()\n"
        "forget_token()\n"
        "after = open('/proc/self/environ').read()\n"
        "assert before.count('hidden') == 2 and 'hidden' not in after\n"
        "assert 'TOKEN' not in after and 'KEPT=yes' in after and len(after) == len(before)\n"
        "assert not [name for name in os.environ if 'TOKEN' in name]\n"
        "assert os.environ['KEPT'] == 'yes'\n"
        "print(os.getpid(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=with_source({"IRONCLAW_WORKER_TOKEN": "hidden", "TRIOWORKER_TOKEN": "hidden", "KEPT": "yes"}),
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert int(child.stdout.readline()) == child.pid
        if os.getuid() == 0:
            with open(f"/proc/{child.pid}/environ", "rb") as file:
                assert b"hidden" not in file.read()
        child.stdin.close()
    assert child.returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can change the user")
def test_other_processes_of_the_user_cannot_inspect_the_worker() -> None:
    program = (
        "import os, subprocess\n"
        "from trioworker.worker.processes.environment import forget_token\n"
        "import ctypes\n"
        "os.setgid(1000); os.setuid(1000)\n"
        "forget_token()\n"
        "look = f'cat /proc/{os.getpid()}/environ /proc/{os.getpid()}/maps'\n"
        "print(subprocess.run(['sh', '-c', look], capture_output=True, text=True).returncode)\n"
    )
    assert run_python(program) == "1\n"


def run_python(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=with_source({})
    ).stdout


def with_source(variables: dict[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **variables}
