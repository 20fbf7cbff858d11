"""The file of tasks: what a line may contain, which task it is, and errors with their line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from trioworker.cli.values import seconds
from trioworker.errors import ConfigError
from trioworker.fleet.tasks import Repository, Task, read_tasks

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path, *lines: dict[str, Any] | str) -> list[Task]:
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return read_tasks(path, worker_options={"timeout": seconds})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tasks.jsonl"


def test_line_says_what_to_do_where_and_how(path: Path) -> None:
    (path.parent / "here").mkdir()
    first, second, third = read(
        path,
        {"task": "Fix the bug.\nAll of it."},
        {"title": "Fix", "task": "x", "workspace": "here", "options": {"timeout": 60}},
        {"task": "x", "workspace": "there", "workspace_from": "here"},
    )
    assert (first.title, first.text, first.workspace, first.source) == (
        "Fix the bug.",
        "Fix the bug.\nAll of it.",
        None,
        None,
    )
    assert (second.title, second.workspace, second.worker_options) == ("Fix", path.parent / "here", ("--timeout=60",))
    assert (third.workspace, third.source) == (path.parent / "there", path.parent / "here")


def test_relative_paths_start_at_the_folder_of_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path.parent / "elsewhere").mkdir()
    (path.parent / "repo").mkdir()
    monkeypatch.chdir(path.parent / "elsewhere")
    local, remote = read(
        path,
        {"task": "x", "workspace_from": {"repository": "repo", "revision": "main"}},
        {"task": "x", "workspace_from": {"repository": "https://example.test/repo.git"}},
    )
    assert local.source == Repository(str(path.parent / "repo"), "main")
    assert remote.source == Repository("https://example.test/repo.git")


def test_task_is_the_same_wherever_its_line_is(path: Path) -> None:
    one, two = read(path, {"title": "A", "task": "x"}, {"task": "y"})
    moved = read(path, {"task": "new"}, {"task": "y"}, '{ "task": "x",  "title": "A"}')
    assert [task.key for task in moved[1:]] == [two.key, one.key]
    assert moved[0].key not in {one.key, two.key}


def test_equal_lines_are_different_tasks(path: Path) -> None:
    keys = [task.key for task in read(path, *[{"task": "x"}] * 3)]
    assert len(set(keys)) == 3
    assert [task.key for task in read(path, *[{"task": "x"}] * 4)][:3] == keys


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({}, "missing required field `task`"),
        ({"task": " \n"}, "`task` is empty"),
        ({"task": "x\0"}, "`task` contains a NUL character"),
        ({"task": 7}, "Expected `str`, got `int` - at `$.task`"),
        ({"tsk": "x", "task": "x"}, "unknown field `tsk`"),
        ({"job_id": "x", "token": "s3cret"}, "a job of an orchestrator, which --llm can't run"),
        ({"task": "x", "workspace": "nowhere"}, "workspace: no such folder: "),
        ({"task": "x", "workspace": ""}, "workspace: '' is not a path"),
        ({"task": "x", "workspace": "~nobody-of-this-name/x"}, "workspace: "),
        ({"task": "x", "workspace_from": "https://example.test/x.git"}, 'by {"repository": "URL", "revision": "main"}'),
        ({"task": "x", "workspace": "here/copy", "workspace_from": "here"}, "is inside `workspace_from`"),
        ({"task": "x", "workspace_from": {"repository": "--upload-pack=x"}}, "is not a repository that git could have"),
        ({"task": "x", "workspace_from": {"repository": "x", "revision": "-f"}}, "is not a revision that git could"),
        ({"task": "x", "options": {"state-dir": "x"}}, "options: 'state-dir' is unknown"),
        ("[1]", "Expected `object`"),
    ],
)
def test_bad_line_is_an_error_with_its_number(path: Path, bad: dict[str, Any] | str, why: str) -> None:
    (path.parent / "here").mkdir()
    with pytest.raises(ConfigError) as caught:
        read(path, {"task": "fine"}, "", bad)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert why in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_tasks_do_not_share_a_workspace(path: Path) -> None:
    (path.parent / "here").mkdir()
    (path.parent / "link").symlink_to("here")
    with pytest.raises(ConfigError, match=f"^{path}:2: line 1 has the same workspace"):
        read(path, {"task": "x", "workspace": "here"}, {"task": "y", "workspace": "link"})


def test_file_without_tasks_is_an_error(path: Path) -> None:
    with pytest.raises(ConfigError, match="contains no tasks"):
        read(path, "", "  ")
