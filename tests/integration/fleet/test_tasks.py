"""A list of tasks with real workers: one command, a kill of everything, and Ctrl-C."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
import trio

from support.fleets import results_of
from support.program import ran, started, survivors, until
from trioworker.linux.procfs import kill_tree
from trioworker.orchestrator.state_files import database_path
from trioworker.orchestrator.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from support.program import Ended

pytestmark = pytest.mark.integration

DONE = [{"content": "Nothing to do.\nThe job is complete.", "input_tokens": 5, "output_tokens": 2}]
WAITING = "touch began; until test -e ../../go; do sleep 0.05; done"


def waiting() -> list[dict[str, Any]]:
    """Turns of a model that has a command wait for the file `go`, and then ends."""
    return [{"tool_calls": [{"name": "shell", "arguments": {"command": WAITING}}]}, *DONE]


class TasksFolder:
    """A folder with `tasks.jsonl`, a model's script and a state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tasks = folder / "tasks.jsonl"
        self.state_dir = folder / "state"
        self.script([*DONE])

    def script(self, turns: list[dict[str, Any]]) -> None:
        (self.folder / "turns.json").write_text(json.dumps(turns))

    def write(self, *tasks: dict[str, Any]) -> None:
        self.tasks.write_text("".join(json.dumps(task) + "\n" for task in tasks))

    @property
    def arguments(self) -> tuple[str, ...]:
        model = f"script:{self.folder / 'turns.json'}"
        return ("fleet", str(self.tasks), "--llm", model, "--state-dir", str(self.state_dir))

    async def run(self, *more: str) -> Ended:
        return await ran(*self.arguments, *more)

    def began(self) -> int:
        return len(list(self.folder.glob("tasks.workspaces/*/began")))

    def jobs(self) -> list[tuple[str, str]]:
        """The titles and states of the jobs in the database."""
        with Store(database_path(self.state_dir)) as store:
            return sorted((view.title, view.state) for view in store.views())


@pytest.fixture
def here(tmp_path: Path) -> TasksFolder:
    return TasksFolder(tmp_path)


async def test_ten_tasks_need_one_command(here: TasksFolder) -> None:
    (here.folder / "source").mkdir()
    (here.folder / "source" / "file").write_text("x")
    (here.folder / "own").mkdir()
    titles = [f"Task {number}" for number in range(8)]
    here.write(
        *({"title": title, "task": "Do nothing."} for title in titles),
        {"title": "Copy", "task": "Do nothing.", "workspace_from": "source"},
        {"title": "Own", "task": "Do nothing.", "workspace": "own"},
    )
    ended = await here.run("--parallel", "4")

    assert (ended.code, ended.out) == (0, ""), ended.err
    lines = ended.err.splitlines()
    assert lines[0] == "trioworker: 10 tasks; running 10, up to 4 at a time"
    assert lines[-1] == "trioworker: 10 tasks: 10 succeeded, 0 did not"
    assert [line.split()[1] for line in lines[1:11]] == [f"{number}/10" for number in range(1, 11)]
    assert all(line.endswith("7       Nothing to do.") for line in lines[12:22])
    results = {result["title"]: result for result in results_of(here.tasks)}
    assert sorted(results) == sorted([*titles, "Copy", "Own"])
    assert {result["message"] for result in results.values()} == {"Nothing to do.\nThe job is complete."}
    assert results["Own"]["workspace"] == str(here.folder / "own")
    assert results["Copy"]["workspace"].startswith(str(here.folder / "tasks.workspaces" / "copy-"))
    assert list(here.folder.glob("tasks.workspaces/copy-*/file"))
    assert {state for _, state in here.jobs()} == {"completed"}
    assert list(here.state_dir.glob("*.journal")) == []

    again = await here.run()
    assert again.code == 0
    assert again.err.splitlines() == [
        f"trioworker: nothing is left to do: 10 tasks with a result in {here.folder / 'tasks.results.jsonl'}",
        "trioworker: 10 tasks: 10 succeeded, 0 did not",
    ]


async def test_killed_fleet_resumes_what_ran_and_starts_the_rest(here: TasksFolder) -> None:
    here.script(waiting())
    here.write(*({"title": title, "task": "Wait."} for title in "ABC"))
    async with started(*here.arguments, "--parallel", "2") as program:
        await until(lambda: here.began() == 2)
        await trio.to_thread.run_sync(kill_tree, program.pid)
        assert (await program.ended()).code == -signal.SIGKILL
    assert results_of(here.tasks) == []
    assert [title for title, _ in here.jobs()] == ["A", "B"]

    (here.folder / "go").touch()
    ended = await here.run("--parallel", "2")

    assert ended.code == 0, ended.err
    assert here.jobs() == [(title, "completed") for title in "ABC"]
    assert sorted(result["title"] for result in results_of(here.tasks)) == ["A", "B", "C"]
    # The interrupted ones kept their workspaces.
    assert len(list(here.folder.glob("tasks.workspaces/*"))) == 3
    assert survivors("no such mark", here.folder) == {}


async def test_first_interrupt_waits_and_second_cancels(here: TasksFolder) -> None:
    here.script(waiting())
    here.write(*({"title": title, "task": "Wait."} for title in "ABC"))
    async with started(*here.arguments, "--parallel", "1") as program:
        await until(lambda: here.began() == 1)
        program.signal(signal.SIGINT)
        await trio.sleep(0.3)
        (here.folder / "go").touch()
        ended = await program.ended()
    assert ended.code == 4, ended.err
    assert "trioworker: stopping: starting no more, waiting for 1 running; press Ctrl-C again to cancel\n" in ended.err
    assert ended.err.endswith("3 tasks: 1 succeeded, 0 did not, 2 left; run the same command to continue\n")

    (here.folder / "go").unlink()
    async with started(*here.arguments, "--parallel", "1") as program:
        await until(lambda: here.began() == 2)
        program.signal(signal.SIGINT)
        await trio.sleep(0.3)
        program.signal(signal.SIGINT)
        ended = await program.ended()
    assert ended.code == 4, ended.err
    assert [(result["title"], result["status"]) for result in results_of(here.tasks)] == [
        ("A", "completed"),
        ("B", "cancelled"),
    ]
    assert here.jobs() == [("A", "completed"), ("B", "cancelled")]


async def test_tasks_come_from_standard_input(here: TasksFolder) -> None:
    command, _, *options = here.arguments
    results = here.folder / "answers.jsonl"
    task = b'{"task": "x"}\n'
    assert "name one with --results" in (await ran(command, "-", *options, stdin=task)).complaint
    ended = await ran(command, "-", *options, "--results", str(results), stdin=task)
    assert ended.code == 0, ended.err
    assert json.loads(results.read_text())["message"] == "Nothing to do.\nThe job is complete."
    assert list(here.folder.glob("answers.workspaces/x-*"))
