"""The commands of `docs/getting-started.md`, run as they are, with a stand-in for the model's server.

Only the base URLs are replaced. The commands that start a server find a program that does nothing. The installation is
run if `TRIOWORKER_TEST_INSTALL` is set: it takes a minute, and needs a package index.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from support.openai_stand_in import stand_in
from support.pages import ROOT, blocks, write_files

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = pytest.mark.integration

PAGE = ROOT / "docs" / "getting-started.md"
SECTIONS = dict(re.findall(r"^## (.+?)$(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL))
SERVERS = {
    "http://127.0.0.1:11434/v1": ("ollama", "qwen3"),
    "http://127.0.0.1:8080/v1": ("llama", "model.gguf"),
    "http://127.0.0.1:8000/v1": ("vllm", "Qwen/Qwen3-8B"),
    "http://127.0.0.1:4000/v1": ("litellm", "anthropic/claude-sonnet-4-5"),
}
OPENAI = ("openai", "gpt-5-mini")
PROGRAMS = ("ollama", "llama-server", "vllm", "litellm")
TIMEOUT = 120.0


def scripts(section: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", SECTIONS[section], re.MULTILINE | re.DOTALL)


class Shell:
    """A reader's shell, in a new folder with the project of the page."""

    def __init__(self, folder: Path, urls: dict[str, str]) -> None:
        self.folder = folder
        self._urls = urls
        (programs := folder / "bin").mkdir()
        for name in PROGRAMS:
            self._program(programs / name, "exit 0")
        self._program(programs / "trioworker", f'exec {sys.executable} -m trioworker "$@"')
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRIOWORKER_", "OPENAI_"))}
        self.environment = {
            **kept,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "XDG_STATE_HOME": str(folder / "state"),
            "OPENAI_BASE_URL": urls["openai"],
        }
        self.run(*scripts("A project"))

    @staticmethod
    def _program(path: Path, line: str) -> None:
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    def replaced(self, script: str) -> str:
        for url, (name, _) in SERVERS.items():
            script = script.replace(url, self._urls[name])
        return script

    def choose_model(self) -> None:
        """The exports at the end of the section on models."""
        exports = scripts("Your model")[-1]
        assert exports.startswith("export ")
        ended = self.run(exports + "env")
        lines = ended.stdout.splitlines()
        self.environment |= dict(line.split("=", 1) for line in lines if line.startswith("TRIOWORKER_"))

    def start(self, script: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-ec", self.replaced(script)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *parts: str) -> subprocess.CompletedProcess[str]:
        """Run a script to its end, which must be a success."""
        process = self.start("".join(parts))
        try:
            out, err = process.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
        assert process.returncode == 0, out + err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def shell(tmp_path: Path) -> Generator[Shell]:
    with stand_in(dict([*SERVERS.values(), OPENAI])) as urls:
        yield Shell(tmp_path, urls)


@contextmanager
def file_server(folder: Path) -> Generator[str]:
    """Serve a folder over HTTP, as a host of repositories does."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - as in the base
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_every_section_has_a_test() -> None:
    tested = {"Install", "A project", "Your model", "A follow-up", "Resuming after a crash", "Ten tasks"}
    assert {name for name in SECTIONS if scripts(name)} == tested | {"A tool of your own", "The page"}


@pytest.mark.skipif("TRIOWORKER_TEST_INSTALL" not in os.environ, reason="slow: set TRIOWORKER_TEST_INSTALL")
def test_package_installs_from_its_repository(tmp_path: Path) -> None:
    repository = tmp_path / "trioworker.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", ROOT, repository], check=True)
    subprocess.run(["git", "update-server-info"], cwd=repository, check=True)
    script = scripts("Install")[0] + "trioworker --help"
    with file_server(tmp_path) as url:
        environment = {**os.environ, "URL": f"{url}/{repository.name}"}
        ended = subprocess.run(["bash", "-ec", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "usage: trioworker" in ended.stdout


@pytest.mark.parametrize("script", scripts("Your model")[0].split("\n\n"), ids=lambda script: script.split()[1])
def test_job_with_each_kind_of_model_server_completes(script: str, shell: Shell) -> None:
    ended = shell.run(script)
    assert "The job is complete." in ended.stdout
    assert "does not list the model" not in ended.stderr


def test_piped_follow_up_reaches_the_model(shell: Shell) -> None:
    shell.choose_model()
    ended = shell.run(*scripts("A follow-up"))
    assert "Also add a docstring.; " in ended.stdout


def test_killed_job_is_resumed_by_the_same_command(shell: Shell) -> None:
    shell.choose_model()
    ended = shell.run(*scripts("Resuming after a crash"))
    assert re.search(r"resumed job \w+", ended.stdout + ended.stderr)
    assert "interrupted; its effects are unknown" in ended.stdout
    listed = shell.run("trioworker jobs --json").stdout.splitlines()
    assert len(listed) == 1
    assert json.loads(listed[0])["state"] == "completed"


def test_ten_tasks_succeed(shell: Shell) -> None:
    shell.choose_model()
    shell.run(*scripts("Ten tasks"))
    results = [json.loads(line) for line in (shell.folder / "tasks.results.jsonl").read_text().splitlines() if line]
    assert len(results) == 10
    assert all(result["success"] for result in results)


def test_model_can_call_a_tool_of_ones_own(shell: Shell) -> None:
    shell.choose_model()
    write_files(PAGE, shell.folder)
    ended = shell.run(*scripts("A tool of your own"))
    assert "3 words" in ended.stdout


def test_web_prints_the_url_of_the_page(shell: Shell) -> None:
    shell.choose_model()
    process = shell.start(*scripts("The page"))
    try:
        assert process.stderr is not None
        assert any(re.search(r"http://127\.0\.0\.1:\d+/", line) for line in process.stderr)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()


def test_blocks_of_the_page_are_found() -> None:
    assert len(blocks(PAGE, "sh")) == sum(len(scripts(name)) for name in SECTIONS)
