"""`trioworker jobs`: the list, one job, and their forms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from trioworker.cli.main import main
from trioworker.errors import ConfigError
from trioworker.local.jobs import print_jobs
from trioworker.orchestrator.job_lock import lock_job
from trioworker.orchestrator.state_files import database_path
from trioworker.orchestrator.store import Store
from trioworker.protocol.wire import CompletionReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDED = "aaaa0000-0000-4000-8000-000000000000"
KILLED = "bbbb0000-0000-4000-8000-000000000000"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(database_path(tmp_path)) as store:
        yield store


def create(store: Store, job_id: str, title: str = "Fix the parser") -> None:
    store.create_job(f"{title}, please.\nAll of it.", title=title, project_dir="/src/app", job_id=job_id)


def end(store: Store, job_id: str, answer: str = "All tests pass.\nTwo files changed.") -> None:
    store.add_event(job_id, "result", {"success": True, "status": "completed", "seq": 0})
    store.complete(job_id, CompletionReport(success=True, message=answer, iterations=2))


@pytest.fixture
def width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


async def test_jobs_are_listed_newest_first_with_state_and_answer(
    store: Store, tmp_path: Path, width: None, capsys: pytest.CaptureFixture[str]
) -> None:
    create(store, ENDED)
    end(store, ENDED)
    create(store, KILLED)
    create(store, "cccc0000-0000-4000-8000-000000000000", "Long " * 40)
    lock = await lock_job(tmp_path, "cccc0000-0000-4000-8000-000000000000")
    assert lock is not None
    with lock:
        assert print_jobs(tmp_path, None, json_lines=False) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("cccc0000  running         0 s  Long Long ")
    assert lines[0].endswith("…")
    assert lines[1:] == [
        "bbbb0000  interrupted     0 s  Fix the parser",
        "          resume it with: trioworker local --resume bbbb0000 --llm SPEC",
        "aaaa0000  completed       0 s  Fix the parser",
        "          All tests pass.",
    ]
    assert max(map(len, lines)) == 80


def test_a_narrow_terminal_gets_the_title_on_a_line_of_its_own(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    create(store, ENDED, "Fix the parser of the configuration files")
    end(store, ENDED)
    print_jobs(tmp_path, None, json_lines=False)

    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "          Fix the parser of the configu…"
    assert max(map(len, lines)) == 40


def test_control_characters_are_escaped(
    store: Store, tmp_path: Path, width: None, capsys: pytest.CaptureFixture[str]
) -> None:
    create(store, ENDED, "\x1b[2JFix")
    end(store, ENDED, "\x1b[31mred\u202e")
    print_jobs(tmp_path, None, json_lines=False)
    print_jobs(tmp_path, "aaaa", json_lines=False)
    print_jobs(tmp_path, None, json_lines=True)

    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b[31mred\\u202e" in out


def test_one_job_is_shown_whole(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create(store, ENDED)
    end(store, ENDED)
    assert print_jobs(tmp_path, "aaaa", json_lines=False) == 0

    out = capsys.readouterr().out
    assert f"job:       {ENDED}\n" in out
    assert "state:     completed (0.0 s, 2 iterations, 0 + 0 tokens)\n" in out
    assert "\n  Fix the parser, please.\n  All of it.\n" in out
    assert "result: completed\n" in out
    assert out.endswith("\n\nAll tests pass.\nTwo files changed.\n")


def test_an_interrupted_job_is_shown_with_how_to_resume_it(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create(store, KILLED)
    print_jobs(tmp_path, "bbbb", json_lines=False)

    assert capsys.readouterr().out.endswith("\nresume it with: trioworker local --resume bbbb0000 --llm SPEC\n")


def test_json_prints_one_job_per_line(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create(store, ENDED)
    end(store, ENDED)
    create(store, KILLED)
    print_jobs(tmp_path, None, json_lines=True)
    print_jobs(tmp_path, "aaaa", json_lines=True)

    jobs = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(job["id"], job["state"]) for job in jobs] == [
        (KILLED, "interrupted"),
        (ENDED, "completed"),
        (ENDED, "completed"),
    ]
    assert jobs[1]["report"]["message"] == "All tests pass.\nTwo files changed."


def test_an_empty_list_is_one_line_that_says_how_to_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for state_dir in (tmp_path, tmp_path / "absent"):
        assert print_jobs(state_dir, None, json_lines=False) == 0
        start = "start one with `trioworker local TEXT --llm SPEC`"
        assert capsys.readouterr() == ("", f"trioworker: no jobs in {state_dir} yet; {start}\n")
        assert not (tmp_path / "absent").exists()


def test_the_command_reads_the_given_folder(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create(store, ENDED)
    assert main(["jobs", "--state-dir", str(tmp_path), "--json", "aaaa"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == ENDED


def test_an_unknown_job_is_an_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="job 'ffff' is unknown; `trioworker jobs` lists all jobs"):
        print_jobs(tmp_path, "ffff", json_lines=False)
