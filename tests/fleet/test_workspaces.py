"""Workspaces: copies of folders and clones of repositories, complete or absent."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
import trio

from trioworker.fleet.engine import NotStartedError
from trioworker.fleet.tasks import Repository, Source
from trioworker.fleet.workspaces import folder_name, make_draft, publish

WHO = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}


def git(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, **WHO}
    ended = subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return ended.stdout.strip()


async def make(source: Source | None, target: Path) -> None:
    await make_draft(source, target, target.parent)
    publish(target)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "tasks.workspaces" / "one"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "run.sh").write_text("echo hi\n")
    (folder / "sub" / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("/nowhere")
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    for branch, text in (("old", "1"), ("main", "2")):
        (folder / "file").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", text)
        if branch == "old":
            git(folder, "branch", "old")
            git(folder, "tag", "v1")
    return folder


async def test_copy_keeps_modes_and_symbolic_links(source: Path, target: Path) -> None:
    await make(source, target)
    assert (target / "sub" / "run.sh").read_text() == "echo hi\n"
    assert (target / "sub" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (target / "link").readlink() == Path("/nowhere")
    assert names(target.parent) == [target.name]


async def test_copy_of_the_folder_of_the_tasks_leaves_the_workspaces_out(tmp_path: Path, target: Path) -> None:
    (tmp_path / "file").touch()
    (target.parent / "other").mkdir(parents=True)
    await make(tmp_path, target)
    assert names(target) == ["file"]


async def test_special_file_is_refused_and_nothing_is_left(source: Path, target: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(source / "socket"))
        with pytest.raises(NotStartedError, match="socket is a special file") as caught:
            await make(source, target)
    assert "\n" not in str(caught.value)
    assert names(target.parent) == []


async def test_copy_stops_when_it_is_cancelled(source: Path, target: Path) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await make(source, target)
    assert scope.cancelled_caught
    assert target.name not in names(target.parent.parent)


@pytest.mark.parametrize(("revision", "text"), [(None, "2"), ("main", "2"), ("old", "1"), ("v1", "1"), ("HEAD~1", "1")])
async def test_clone_has_the_revision(repository: Path, target: Path, revision: str | None, text: str) -> None:
    await make(Repository(str(repository), revision), target)
    assert (target / "file").read_text() == text
    assert git(target, "status", "--short") == ""
    assert git(target, "rev-parse", "HEAD") == git(repository, "rev-parse", revision or "main")


async def test_clone_of_a_branch_is_on_it(repository: Path, target: Path) -> None:
    await make(Repository(str(repository), "old"), target)
    assert git(target, "branch", "--show-current") == "old"


async def test_clone_shares_no_file_with_its_source(repository: Path, target: Path) -> None:
    await make(Repository(str(repository)), target)
    assert all(path.stat().st_nlink == 1 for path in (target / ".git" / "objects").rglob("*") if path.is_file())


async def test_clone_runs_no_hooks(
    tmp_path: Path, repository: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = tmp_path / "template" / "hooks" / "post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(hook.parent.parent))
    await make(Repository(str(repository), "old"), target)
    assert (target / "file").exists()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "revision", "why"),
    [
        ("repository", "none", "git checkout: invalid reference: none"),
        ("absent", None, "git clone: repository '.*' does not exist"),
        ("ext::touch ran", None, "git clone: transport 'ext' not allowed"),
    ],
)
async def test_failed_clone_is_one_line_and_nothing_is_left(
    repository: Path, target: Path, name: str, revision: str | None, why: str
) -> None:
    where = name if ":" in name else str(repository.parent / name)
    with pytest.raises(NotStartedError, match=why) as caught:
        await make(Repository(where, revision), target)
    assert "\n" not in str(caught.value)
    assert names(target.parent) == []


async def test_password_of_a_repository_is_not_shown(target: Path) -> None:
    with pytest.raises(NotStartedError, match="git clone") as caught:
        await make(Repository("http://me:s3cret-word@127.0.0.1:1/x.git"), target)
    assert "s3cret" not in str(caught.value)


async def test_rest_of_a_killed_preparation_is_replaced(source: Path, target: Path) -> None:
    await make_draft(source, target, target.parent)
    await make(None, target)
    assert names(target) == []


async def test_existing_workspace_is_not_overwritten(source: Path, target: Path) -> None:
    (target / "mine").mkdir(parents=True)
    with pytest.raises(NotStartedError, match="can't be created"):
        await make(source, target)
    assert names(target) == ["mine"]


def test_name_of_a_workspace_is_readable_and_safe() -> None:
    job_id = "123e4567-e89b-12d3-a456-426614174000"
    assert folder_name("Fix: the *parser*, now!", job_id) == "fix-the-parser-now-123e4567"
    assert folder_name("../../etc", job_id) == "etc-123e4567"
    assert folder_name("漢字", job_id) == "task-123e4567"
    assert len(folder_name("x" * 300, job_id)) <= 50
