"""What a job changed, in repositories whose configuration the job may have written."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
import trio

from trioworker.local.workspace_baseline import find_baseline
from trioworker.local.workspace_changes import TIMEOUT, changes_since

pytestmark = pytest.mark.integration

IDENTITY = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}


def git(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, **IDENTITY, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def repository(workspace: Path) -> Path:
    """A repository with one commit of three files."""
    git(workspace, "init", "--quiet")
    (workspace / "a.txt").write_text("one\n")
    (workspace / "b.txt").write_text("one\n")
    (workspace / "folder").mkdir()
    (workspace / "folder" / "c.txt").write_text("one\n")
    git(workspace, "add", ".")
    git(workspace, "commit", "--quiet", "--message", "First")
    return workspace


def run_shell(commands: str, folder: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment = {**kept, **IDENTITY, "HOME": "/nonexistent"}
    subprocess.run(["sh", "-ec", commands], cwd=folder, env=environment, check=True, capture_output=True)


async def changes(workspace: Path, work: str = "true", folder: Path | None = None, limit: float = TIMEOUT) -> list[str]:
    """The changes of a job that runs the shell commands `work`."""
    baseline = await find_baseline(workspace)
    if baseline is None:
        return ["no baseline"]
    run_shell(work, workspace)
    return await changes_since(baseline, folder or workspace.parent, limit=limit)


async def test_changed_deleted_committed_and_new_files_are_shown(repository: Path) -> None:
    work = """
        echo two >> a.txt; git commit --quiet --all --message Second
        rm b.txt; echo three >> folder/c.txt; git add folder
        echo new > grüße.txt; echo ignored > x.log; echo '*.log' > .git/info/exclude
    """
    assert await changes(repository, work) == [
        " a.txt        | 1 +",
        " b.txt        | 1 -",
        " folder/c.txt | 1 +",
        " 3 files changed, 2 insertions(+), 1 deletion(-)",
        " grüße.txt (untracked)",
    ]
    assert not list(repository.parent.glob("git-*"))


async def test_no_changes_are_no_lines(repository: Path) -> None:
    assert await changes(repository) == []


async def test_only_the_workspace_is_looked_at(repository: Path) -> None:
    assert await changes(repository / "folder", "echo x > c.txt; echo x > d.txt; echo x > ../a.txt") == [
        " c.txt | 2 +-",
        " 1 file changed, 1 insertion(+), 1 deletion(-)",
        " d.txt (untracked)",
    ]


async def test_repository_without_commits_is_compared_with_nothing(workspace: Path) -> None:
    git(workspace, "init", "--quiet")
    assert await changes(workspace, "echo x > a; git add a; echo y > b") == [
        " a | 1 +",
        " 1 file changed, 1 insertion(+)",
        " b (untracked)",
    ]


async def test_linked_worktree_and_packed_references_are_understood(repository: Path) -> None:
    git(repository, "pack-refs", "--all")
    assert (await changes(repository, "echo x >> a.txt"))[0] == " a.txt | 1 +"
    linked = repository.parent / "linked"
    git(repository, "worktree", "add", "--quiet", str(linked))
    assert (await changes(linked, "echo x >> b.txt"))[0] == " b.txt | 1 +"


async def test_detached_head_and_sha256_are_understood(tmp_path: Path) -> None:
    folder = tmp_path / "sha256"
    folder.mkdir()
    git(folder, "init", "--quiet", "--object-format=sha256")
    (folder / "a.txt").write_text("one\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "First")
    git(folder, "checkout", "--quiet", "--detach")
    assert (await changes(folder, "echo x >> a.txt"))[0] == " a.txt | 1 +"


async def test_folder_without_a_repository_has_no_baseline(workspace: Path) -> None:
    assert await find_baseline(workspace) is None
    (workspace / ".git").write_text("gitdir: /nonexistent\n")
    assert await find_baseline(workspace) is None


async def test_long_lists_are_cut(repository: Path) -> None:
    lines = await changes(repository, "for each in $(seq 300); do echo x > new$each; done; echo x > a.txt")
    assert len(lines) < 30
    assert lines[-1] == " and 280 more untracked files"


HOSTILE_CONFIGURATION = """
    cat > .git/run <<END
#!/bin/sh
echo run by "\\$@" >> {marker}
cat
END
    chmod +x .git/run
    run=$PWD/.git/run
    git config core.fsmonitor "$run"
    git config core.hooksPath "$PWD/.git/hooks"
    cp .git/run .git/hooks/post-index-change
    git config core.pager "$run"
    git config diff.external "$run"
    git config diff.evil.command "$run"
    git config diff.evil.textconv "$run"
    git config filter.evil.clean "$run"
    git config filter.evil.smudge "$run"
    git config filter.evil.process "$run"
    git config filter.evil.required true
    git config extensions.partialClone origin
    git config core.repositoryFormatVersion 1
    git config remote.origin.url "ext::$run"
    git config remote.origin.promisor true
    git config protocol.ext.allow always
    git config core.alternateRefsCommand "$run"
    git config core.sshCommand "$run"
    git config core.gitProxy "$run"
    git config core.editor "$run"
    git config core.attributesFile "$PWD/.git/attributes"
    echo '* filter=evil diff=evil' > .git/attributes
    mkdir -p .git/info
    echo '* filter=evil diff=evil' > .git/info/attributes
    echo '* filter=evil diff=evil' > .gitattributes
"""


async def test_no_program_of_the_repository_is_run(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = repository.parent / "marker"
    work = f"""
        git init --quiet nested
        (cd nested; echo x > x; git add x; git commit --quiet --message Nested; echo y > x
         {HOSTILE_CONFIGURATION.format(marker=marker)})
        git -c core.fsmonitor=false add nested 2> /dev/null
        echo two > a.txt
        {HOSTILE_CONFIGURATION.format(marker=marker)}
        mkdir bin; cp .git/run bin/git
    """
    monkeypatch.setenv("PATH", f"{repository / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(repository / ".git" / "run"))
    monkeypatch.setenv("GIT_PAGER", str(repository / ".git" / "run"))
    baseline = await find_baseline(repository)
    assert baseline is not None
    run_shell(work, repository)
    marker.unlink(missing_ok=True)
    lines = await changes_since(baseline, repository.parent)

    assert not marker.exists(), marker.read_text()
    assert " a.txt" in lines[0]
    # The configuration does run programs: the same commands without protection leave the marker.
    run_shell("git status || true", repository)
    assert marker.exists()


async def test_missing_objects_are_not_fetched(repository: Path) -> None:
    marker = repository.parent / "marker"
    work = f"{HOSTILE_CONFIGURATION.format(marker=marker)} rm -rf .git/objects/??; echo x > a.txt; rm -f {marker}"
    assert await changes(repository, work) == [" .gitattributes (untracked)"]
    assert not marker.exists()


async def test_waiting_is_limited(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = repository.parent / "slow"
    slow.mkdir()
    (slow / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (slow / "git").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{slow}:{os.environ['PATH']}")
    with trio.fail_after(10):
        assert await changes(repository, limit=0.2) == []


async def test_files_that_cannot_be_read_are_skipped(repository: Path) -> None:
    work = "rm a.txt .git/info/exclude; mkfifo a.txt .git/info/exclude; ln -s /dev/zero z; echo x > 'b\n\x1b[2J'"
    lines = await changes(repository, work)
    assert " z (untracked)" in lines
    assert not [line for line in lines if "\x1b" in line]


async def test_fifo_in_place_of_head_is_not_waited_for(repository: Path) -> None:
    (repository / ".git" / "HEAD").unlink()
    os.mkfifo(repository / ".git" / "HEAD")
    with trio.fail_after(5):
        assert await find_baseline(repository) is None


async def test_removed_workspace_has_no_changes(repository: Path) -> None:
    assert await changes(repository, 'rm -rf "$PWD"') == []


def test_state_folder_that_does_not_exist_is_no_error(repository: Path) -> None:
    assert trio.run(changes, repository, "echo x > a.txt", Path("/nonexistent")) == []
