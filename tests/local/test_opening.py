"""Which job a command line opens: a new one, or an unfinished one of an earlier run."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from trioworker.errors import ConfigError
from trioworker.local.config import NEWEST, LocalConfig
from trioworker.local.opening import OpenJob, open_local_job
from trioworker.local.run import run_local, worker_options
from trioworker.orchestrator.job_lock import holder_of
from trioworker.orchestrator.state_files import database_path
from trioworker.orchestrator.store import Store
from trioworker.protocol.wire import CompletionReport
from trioworker.worker.state.journal_file import FileStorage, journal_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock

TEXT = "Fix the parser."


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(database_path(tmp_path)) as store:
        yield store


class Runs:
    """Runs of `local` in one workspace."""

    def __init__(self, store: Store, workspace: Path) -> None:
        self.store = store
        self.state_dir = workspace.parent
        self._workspace = workspace

    async def open(self, text: str = TEXT, **options: Any) -> OpenJob:
        options = {"workspace": self._workspace, **options}
        config = LocalConfig(text=text, llm="script:none", state_dir=self.state_dir, **options)
        return await open_local_job(config, self.store)

    async def killed(self, *, events: int = 2, **options: Any) -> OpenJob:
        """A run that was killed: its lock is released, and the job is unfinished."""
        job = await self.open(**options)
        for number in range(events):
            self.store.add_event(job.id, "status", {"seq": number})
        if events:
            journal_path(self.state_dir, job.id).write_bytes(b"x")
        with job.lock:
            return job

    async def refused(self, text: str = TEXT, **options: Any) -> str:
        with pytest.raises(ConfigError) as refusal:
            await self.open(text, **options)
        return str(refusal.value)


@pytest.fixture
def runs(store: Store, workspace: Path) -> Runs:
    return Runs(store, workspace)


async def test_a_new_job_is_locked_and_in_the_database(runs: Runs) -> None:
    job = await runs.open(title="Parser")

    view = runs.store.view(job.id)
    assert view is not None
    assert (view.title, view.description, view.project_dir) == ("Parser", TEXT, str(job.workspace))
    assert (job.resumed, job.earlier_events) == (False, 0)
    assert holder_of(runs.state_dir, job.id) == os.getpid()


async def test_the_same_text_resumes_a_killed_job_with_a_new_token(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = await runs.killed()
    job = await runs.open()

    assert (job.id, job.resumed, job.earlier_events) == (killed.id, True, 2)
    assert job.token != killed.token
    assert runs.store.access(job.id, job.token) == "granted"
    assert runs.store.access(job.id, killed.token) == "denied"
    notice = rf"trioworker: resumed job {job.id[:8]}, started \d s ago: 2 events earlier; --new starts over\n"
    assert re.fullmatch(notice, capsys.readouterr().err)


async def test_a_job_that_was_killed_before_its_worker_began_is_resumed(runs: Runs) -> None:
    killed = await runs.killed(events=0)

    assert (await runs.open()).id == killed.id


async def test_time_of_a_resumed_job_counts_from_now(runs: Runs, workspace: Path) -> None:
    config = LocalConfig(text=TEXT, workspace=workspace, llm="script:none", state_dir=runs.state_dir)
    killed = await runs.killed()
    resumed = await runs.open()

    assert "--time-from" not in worker_options(config, killed, "http://127.0.0.1:1")
    options = worker_options(config, resumed, "http://127.0.0.1:1")
    assert float(options[options.index("--time-from") + 1]) == pytest.approx(time.monotonic(), abs=60)


async def test_another_text_or_workspace_or_new_starts_another_job(runs: Runs, tmp_path: Path) -> None:
    killed = await runs.killed()
    (tmp_path / "other").mkdir()

    assert (await runs.open("Fix the printer.")).id != killed.id
    assert (await runs.open(workspace=tmp_path / "other")).id != killed.id
    assert (await runs.open(new=True)).id != killed.id


async def test_a_job_that_has_ended_is_not_resumed(runs: Runs) -> None:
    killed = await runs.killed()
    runs.store.cancel(killed.id, "stopped")

    assert not (await runs.open()).resumed


async def test_a_job_that_was_started_over_is_not_resumed_by_its_text(runs: Runs) -> None:
    older = await runs.killed()
    newer = await runs.killed(new=True)
    runs.store.complete(newer.id, CompletionReport(success=True, message="Done.", iterations=1))

    assert not (await runs.open()).resumed
    assert (await runs.open("", resume=older.id[:8])).id == older.id


async def test_a_running_job_is_not_taken_over(runs: Runs, autojump_clock: MockClock) -> None:
    running = await runs.open()
    short = running.id[:8]

    wanted = f"job {short} is running in process {os.getpid()}; wait for its end"
    assert await runs.refused() == f"{wanted}, or start another one with --new"
    assert await runs.refused("", resume=short) == wanted
    assert (await runs.open(new=True)).id != running.id


async def test_the_worker_of_the_killed_run_is_waited_for(
    runs: Runs, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = await runs.killed()
    journal = FileStorage(journal_path(runs.state_dir, killed.id))
    refusal = await runs.refused()
    assert refusal.endswith("another process holds this journal; end it, or start another job with --new")
    assert "waiting for the worker of the earlier run to end" in capsys.readouterr().err
    journal.close()

    assert (await runs.open()).id == killed.id


async def test_a_job_without_its_journal_starts_over(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    killed = await runs.killed()
    journal_path(runs.state_dir, killed.id).unlink()
    job = await runs.open()

    assert (job.id != killed.id, job.resumed) == (True, False)
    err = capsys.readouterr().err
    assert re.fullmatch(rf"trioworker: job {killed.id[:8]} can't be resumed: [^\n]*; starting a new job\n", err)
    view = runs.store.view(killed.id)
    assert view is not None
    assert view.state == "failed"


async def test_resume_takes_the_newest_unfinished_job_that_does_not_run(runs: Runs, autojump_clock: MockClock) -> None:
    older = await runs.killed(text="a")
    await runs.open("b")

    job = await runs.open("", resume=NEWEST)
    assert job.id == older.id
    assert "is running in process" in await runs.refused("", resume=NEWEST)


async def test_resume_by_id_uses_the_jobs_own_workspace(runs: Runs, tmp_path: Path) -> None:
    killed = await runs.killed()
    (tmp_path / "other").mkdir()

    job = await runs.open("", resume=killed.id[:4].upper(), workspace=tmp_path / "other")
    assert (job.id, job.workspace) == (killed.id, killed.workspace)


async def test_a_workspace_that_is_missing_is_one_line(runs: Runs) -> None:
    killed = await runs.killed()
    killed.workspace.rmdir()

    assert await runs.refused("", resume=killed.id) == (
        f"job {killed.id[:8]}: its workspace {killed.workspace} is missing; create it again"
    )
    assert holder_of(runs.state_dir, killed.id) is None


async def test_resume_without_such_a_job_is_one_line(runs: Runs) -> None:
    assert (await runs.refused("", resume=NEWEST)).startswith("--resume: no unfinished job in /")
    ended = await runs.killed()
    runs.store.cancel(ended.id, "stopped")
    short = ended.id[:8]

    assert await runs.refused("", resume="abc") == (
        "job 'abc': give at least 4 characters of its id; `trioworker jobs` lists all jobs"
    )
    assert await runs.refused("", resume="Fix\x1b") == "job 'Fix\\x1b' is unknown; `trioworker jobs` lists all jobs"
    assert await runs.refused("", resume=short) == (
        f"--resume: job {short} has ended (cancelled); see it with `trioworker jobs {short}`,"
        " or start a new job with its text"
    )


async def test_an_ambiguous_id_is_one_line(runs: Runs) -> None:
    for digit in "12":
        runs.store.create_job(TEXT, title="Fix", job_id=f"abcd{digit}000-0000-4000-8000-000000000000")

    assert (await runs.refused("", resume="abcd")).startswith("job 'abcd' is ambiguous: abcd2000-")


def test_a_state_folder_that_cannot_be_used_is_one_line(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "state" / "jobs.sqlite").mkdir(parents=True)
    cases = {
        Path("/dev/null/state"): "--state-dir /dev/null/state: Not a directory; use a folder that you can write to",
        tmp_path / "state": f"--state-dir: {tmp_path}/state/jobs.sqlite: Is a directory; use a folder that exists",
        workspace / "state": f"--state-dir: {workspace}/state is in the workspace, where tools write",
    }
    script = tmp_path / "turns.json"
    script.write_text('[{"content": "The job is complete."}]')
    for state_dir, problem in cases.items():
        config = LocalConfig(text=TEXT, llm=f"script:{script}", workspace=workspace, state_dir=state_dir)
        with pytest.raises(ConfigError, match=re.escape(problem)):
            run_local(config)


def test_resume_works_in_a_folder_that_contains_the_state_folder(tmp_path: Path) -> None:
    """Such as the home folder; the job has a workspace of its own."""
    (tmp_path / "state" / "jobs.sqlite").mkdir(parents=True)
    script = tmp_path / "turns.json"
    script.write_text('[{"content": "The job is complete."}]')
    for resume in (NEWEST, "3f2a9c1e"):
        config = LocalConfig(
            text="", resume=resume, llm=f"script:{script}", workspace=tmp_path, state_dir=tmp_path / "state"
        )
        with pytest.raises(ConfigError, match=r"jobs\.sqlite: Is a directory"):
            run_local(config)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"text": " "}, "the job is empty; describe the task"),
        ({"text": "x", "resume": NEWEST}, "--resume uses the text of the resumed job; leave out TEXT or --resume"),
        ({"text": "", "resume": "abcd", "new": True}, "--resume continues a job, and --new starts one"),
    ],
)
def test_contradicting_options_are_one_line(workspace: Path, options: dict[str, Any], problem: str) -> None:
    config = LocalConfig(workspace=workspace, llm="script:none", state_dir=workspace.parent, **options)
    with pytest.raises(ConfigError, match=problem):
        run_local(config)
