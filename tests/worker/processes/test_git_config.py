"""Git in the tools' environment: configuration in variables, and editors, as git itself reads them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from trioworker.worker.processes.environment import child_environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HEADER = "AUTHORIZATION: basic eDp5"
ENTRIES = {
    "GIT_CONFIG_COUNT": "4",
    "GIT_CONFIG_KEY_0": "user.name",
    "GIT_CONFIG_VALUE_0": "Ada",
    "GIT_CONFIG_KEY_1": "http.https://example.com/.extraheader",
    "GIT_CONFIG_VALUE_1": HEADER,
    "GIT_CONFIG_KEY_2": "url.https://me:word@example.com/.insteadof",
    "GIT_CONFIG_VALUE_2": "https://example.com/",
    "GIT_CONFIG_KEY_3": "user.email",
    "GIT_CONFIG_VALUE_3": "ada@example.com",
}
OURS = [("core.quotepath", "false")]


def git(folder: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {**environment, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=30
    )


def configured(folder: Path, environment: Mapping[str, str]) -> list[tuple[str, str]]:
    listed = git(folder, environment, "config", "--list")
    assert listed.returncode == 0, listed.stderr
    pairs = [(key, value) for key, _, value in (line.partition("=") for line in listed.stdout.splitlines())]
    return [pair for pair in pairs if not pair[0].startswith(("core.repo", "core.file", "core.bare", "core.logall"))]


@pytest.mark.parametrize("contained", [True, False])
def test_entries_without_secrets_are_inherited_and_renumbered(tmp_path: Path, contained: bool) -> None:
    child = child_environment(ENTRIES, {}, contained=contained)
    assert configured(tmp_path, child) == [("user.name", "Ada"), ("user.email", "ada@example.com"), *OURS]


def test_passed_entry_is_inherited_with_its_secret(tmp_path: Path) -> None:
    child = child_environment(ENTRIES, {}, pass_env=("GIT_CONFIG_VALUE_1",))
    assert ("http.https://example.com/.extraheader", HEADER) in configured(tmp_path, child)


def test_granted_entries_are_added(tmp_path: Path) -> None:
    granted = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.extraheader", "GIT_CONFIG_VALUE_0": HEADER}
    child = child_environment(ENTRIES, granted)
    assert configured(tmp_path, child)[1:] == [("user.email", "ada@example.com"), ("http.extraheader", HEADER), *OURS]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c"},
        {"GIT_CONFIG_COUNT": "x"},
        {"GIT_CONFIG_COUNT": "9" * 5000},
        {"GIT_CONFIG_KEY_0": "a.b"},
    ],
)
def test_unusable_entries_are_left_out(tmp_path: Path, environ: dict[str, str]) -> None:
    assert configured(tmp_path, child_environment(environ, {}, contained=True)) == OURS


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, ENVIRONMENT, "init")
    (tmp_path / "Grüße").write_text("one\n")
    git(tmp_path, ENVIRONMENT, "add", ".")
    return tmp_path


ENVIRONMENT = child_environment(ENTRIES, {})


def test_names_that_are_not_ascii_are_shown_unescaped(repository: Path) -> None:
    assert git(repository, ENVIRONMENT, "ls-files").stdout == "Grüße\n"


def test_commit_without_a_message_fails_and_says_what_to_do(repository: Path) -> None:
    ended = git(repository, ENVIRONMENT, "commit")
    assert ended.returncode != 0
    assert ended.stderr.count("no editor here: use git commit -m") == 1
    assert len(ended.stderr) < 250
    assert git(repository, ENVIRONMENT, "commit", "-m", "one").returncode == 0
    assert git(repository, ENVIRONMENT, "commit", "--amend").returncode != 0
    assert git(repository, ENVIRONMENT, "commit", "--amend", "--no-edit").returncode == 0


def test_rebase_continues_with_the_editor_that_the_message_names(repository: Path) -> None:
    file = repository / "Grüße"
    git(repository, ENVIRONMENT, "commit", "-m", "one")
    git(repository, ENVIRONMENT, "branch", "other")
    for branch, text in (("", "two\n"), ("other", "three\n")):
        if branch:
            git(repository, ENVIRONMENT, "checkout", branch)
        file.write_text(text)
        git(repository, ENVIRONMENT, "commit", "-am", text.strip())
    assert git(repository, ENVIRONMENT, "rebase", "@{-1}").returncode != 0
    file.write_text("four\n")
    git(repository, ENVIRONMENT, "add", ".")
    refused = git(repository, ENVIRONMENT, "rebase", "--continue")
    assert refused.returncode != 0
    assert "GIT_EDITOR=true to keep the text" in refused.stderr
    assert git(repository, {**ENVIRONMENT, "GIT_EDITOR": "true"}, "rebase", "--continue").returncode == 0


def test_interactive_rebase_fails_and_says_what_to_do(repository: Path) -> None:
    git(repository, ENVIRONMENT, "commit", "-m", "one")
    git(repository, ENVIRONMENT, "commit", "--allow-empty", "-m", "two")
    refused = git(repository, ENVIRONMENT, "rebase", "-i", "HEAD~1")
    assert refused.returncode != 0
    assert "set GIT_SEQUENCE_EDITOR to a command" in refused.stderr
