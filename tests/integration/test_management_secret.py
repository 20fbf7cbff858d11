"""What a job's sandboxed command finds of the secret with which the person manages jobs: nothing."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from support.users import LIBRARIES, as_each_user, home_of, python_for
from trioworker.linux import landlock

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = pytest.mark.integration

WAIT_TIMEOUT = 60.0
ATTACK = r"""
import glob, json, os, urllib.error, urllib.request

def read(path):
    try:
        with open(path, "rb") as file:
            return file.read(1 << 22)
    except OSError:
        return b""

job, target = open("job").read().split()
found = {"uid": os.getuid(), "cmdlines": [], "environments": [], "memories": [], "descriptors": [], "answers": {}}
loot = open("loot", "wb")
for pid in [name for name in os.listdir("/proc") if name.isdigit()]:
    line = read(f"/proc/{pid}/cmdline")
    loot.write(line + b"\n" + read(f"/proc/{pid}/environ") + b"\n")
    # The worker has the job's id as an argument, and so have its helpers.
    name = "target" if pid == target else "worker" if job.encode() in line and b"trioworker\0worker" in line else ""
    if not name:
        continue
    found["cmdlines"].append(name)
    if read(f"/proc/{pid}/environ"):
        found["environments"].append(name)
    try:
        open(f"/proc/{pid}/mem", "rb").close()
        found["memories"].append(name)
    except OSError:
        pass
    try:
        found["descriptors"] += [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        pass
for top in ("..", *glob.glob("/tmp/trioworker-*"), "/dev/shm"):
    for folder, _, names in os.walk(top):
        for path in [os.path.join(folder, name) for name in names if name not in ("loot", "attack.py")]:
            if os.path.isfile(path):
                loot.write(path.encode() + b"\n" + read(path) + b"\n")
loot.close()

url = open("url").read()
tries = [("GET", "/", None), ("GET", "/jobs", None), ("GET", "/web/jobs", None), ("GET", f"/jobs/{job}", None),
  ("GET", f"/jobs/{job}/events", None), ("GET", f"/web/jobs/{job}/events", None), ("GET", "/web/app.js", None),
  ("POST", f"/jobs/{job}/prompt", {"content": "I am the person"}), ("POST", f"/web/jobs/{job}/stop", {}),
  ("POST", "/jobs", {"description": "x"}), ("GET", "/?token=", None), ("GET", "/?token=x", None)]
for method, path, body in tries:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        status = urllib.request.urlopen(request, timeout=20).status
    except urllib.error.HTTPError as error:
        status = error.code
    found["answers"][f"{method} {path}"] = status
with open("found.part", "w") as file:
    json.dump(found, file)
os.rename("found.part", "found")
"""


@pytest.fixture
def folder(become: tuple[str, ...]) -> Generator[Path]:
    """A folder of the user's with the attack in its workspace."""
    if not become and os.getuid() == 0 and landlock.version() < landlock.MIN_VERSION:
        pytest.skip("without Landlock, commands of root read every process")
    attack = "while [ ! -e job ]; do sleep 0.05; done; /usr/bin/env python3 attack.py 2> errors"
    turns: list[Any] = [
        {"tool_calls": [{"name": "shell", "arguments": {"command": attack}}]},
        {"content": "The job is complete."},
    ]
    with home_of(become) as home:
        (home / "workspace" / "attack.py").write_text(ATTACK)
        (home / "turns.json").write_text(json.dumps(turns))
        yield home


@contextmanager
def program(
    become: tuple[str, ...], folder: Path, *arguments: str, **environment: str
) -> Generator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*become, python_for(become), "-m", "trioworker", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **LIBRARIES, "HOME": str(folder), "XDG_STATE_HOME": "", **environment},
        cwd=folder,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(WAIT_TIMEOUT)


def new_key() -> str:
    """A key that no other test has: a command sees the programs of all tests."""
    return secrets.token_hex(16)


def printed(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The match in the first line of stderr with the pattern."""
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if match := re.search(pattern, line):
            return match
    raise AssertionError("".join(lines))


def loot_of(workspace: Path, url: str, job: str, target: int) -> tuple[dict[str, Any], bytes]:
    """Let the attack on the process `target` start; what it found, and every byte that it could read."""
    (workspace / "url").write_text(url)
    (workspace / "job.part").write_text(f"{job} {target}")
    (workspace / "job.part").rename(workspace / "job")
    end = time.monotonic() + WAIT_TIMEOUT
    while not (workspace / "found").exists():
        errors = workspace / "errors"
        assert time.monotonic() < end, errors.read_text() if errors.exists() else "the command did not start"
        time.sleep(0.05)
    return json.loads((workspace / "found").read_text()), (workspace / "loot").read_bytes()


def assert_nothing_found(found: dict[str, Any], loot: bytes, *secrets: str) -> None:
    # It saw the processes, so that the absence of the secret means something.
    assert {"target", "worker"} <= set(found["cmdlines"])
    assert b"turns.json" in loot
    assert not any(secret.encode() in loot for secret in secrets)
    # A command of root can read environments, which therefore hold neither the secret nor the keys.
    assert (found["memories"], found["descriptors"]) == ([], [])
    assert found["environments"] == [] or found["uid"] == 0
    assert set(found["answers"].values()) == {401}, found["answers"]


def requested(url: str, token: str, path: str, body: object = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}{path}", data, headers)  # noqa: S310 - our own server
    try:
        with urllib.request.urlopen(request, timeout=WAIT_TIMEOUT) as response:  # noqa: S310 - our own server
            return response.status, json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, None


@as_each_user
def test_a_command_cannot_manage_the_job_of_local(become: tuple[str, ...], folder: Path) -> None:
    options = ("--workspace", str(folder / "workspace"), "--state-dir", str(folder / "state"))
    llm = ("--llm", f"script:{folder / 'turns.json'}")
    llm = (*llm, "--api-key-env", "NAMED_KEY")
    key, named = new_key(), new_key()
    keys = {"OPENAI_API_KEY": key, "NAMED_KEY": named}
    with program(become, folder, "local", "Fix it.", "--web", *options, *llm, **keys) as process:
        url, token, job = printed(process, r"job at (http://[^/]+)/\?token=([\w-]+)#(\S+)").groups()
        found, loot = loot_of(folder / "workspace", url, job, process.pid)

        assert_nothing_found(found, loot, token, key, named)
        status, view = requested(url, token, f"/jobs/{job}")
        assert (status, view["id"]) == (200, job)
        printed(process, "the page remains")
        _, view = requested(url, token, f"/jobs/{job}")
        assert view["state"] == "completed"


@as_each_user
def test_a_command_cannot_manage_jobs_of_an_orchestrator(become: tuple[str, ...], folder: Path) -> None:
    workspace = folder / "workspace"
    llm = ("--llm", f"script:{folder / 'turns.json'}", "--api-key-env", "NAMED_KEY")
    token = "chosen-by-the-person-0123456789"
    key, named = new_key(), new_key()
    environment = {"TRIOWORKER_ORCHESTRATOR_ADMIN_TOKEN": token, "OPENAI_API_KEY": key, "NAMED_KEY": named}
    with program(become, folder, "orchestrator", "--port", "0", *llm, **environment) as process:
        url = printed(process, r"listening on (http://\S+)")[1]
        status, job = requested(url, token, "/jobs", {"description": "Fix it."})
        assert status == 201
        worker = ("worker", "--job-id", job["id"], "--orchestrator-url", url, "--workspace", str(workspace))
        with program(become, folder, *worker, IRONCLAW_WORKER_TOKEN=job["token"]) as running:
            found, loot = loot_of(workspace, url, job["id"], process.pid)
            running.communicate(timeout=WAIT_TIMEOUT)
        assert running.returncode == 0
        assert_nothing_found(found, loot, token, key, named)
        assert requested(url, token, f"/jobs/{job['id']}")[1]["state"] == "completed"


def test_the_secret_is_not_printed_into_a_file(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as err:
        command = [sys.executable, "-m", "trioworker", "orchestrator", "--port", "0"]
        with subprocess.Popen(command, stderr=err) as process:
            try:
                end = time.monotonic() + WAIT_TIMEOUT
                while "manage and watch jobs" not in log.read_text():
                    assert time.monotonic() < end
                    time.sleep(0.05)
            finally:
                process.terminate()
    assert "token=" not in log.read_text()
    assert "the token is left out: commands could read it in this file" in log.read_text()
