"""The orchestrator's store."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from trioworker.errors import ConfigError
from trioworker.orchestrator.database import unusable
from trioworker.orchestrator.store import Store
from trioworker.protocol.wire import CompletionReport, Credential, Prompt, Reply, StatusUpdate

if TYPE_CHECKING:
    from pathlib import Path

REPORT = CompletionReport(success=True, message="done", iterations=4)


def test_a_job_and_its_token_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with Store(path) as store:
        job = store.create_job("fix it", title="Fix", credentials=[Credential(env_var="KEY", value="v")])
        store.set_status(job.id, StatusUpdate(message="Iteration 6", iteration=6))
        store.add_event(job.id, "status", {"seq": 0, "message": "a"})

    with Store(path) as store:
        view = store.view(job.id)
        assert store.access(job.id, job.token) == "granted"
        assert view is not None
        assert (view.state, view.iteration, view.status, view.report) == ("in_progress", 6, "Iteration 6", None)
        assert [event.data for event in store.events(job.id, 0)] == [{"seq": 0, "message": "a"}]
        assert store.credentials(job.id) == [Credential(env_var="KEY", value="v")]


def test_a_delayed_status_does_not_lower_the_iteration() -> None:
    with Store() as store:
        job = store.create_job("fix it", title="Fix")
        store.add_request(job.id, 9)
        store.set_status(job.id, StatusUpdate(message="Iteration 6", iteration=6))
        view = store.view(job.id)
        assert view is not None
        assert view.iteration == 9


def test_an_ended_job_shows_the_reported_iteration() -> None:
    with Store() as store:
        job = store.create_job("fix it", title="Fix")
        store.set_status(job.id, StatusUpdate(message="Iteration 1", iteration=1))
        store.complete(job.id, REPORT)
        view = store.view(job.id)
        assert view is not None
        assert view.iteration == 4


def test_a_renewed_token_replaces_the_old_one_until_the_job_ends() -> None:
    with Store() as store:
        job = store.create_job("fix it", title="Fix")
        token = store.renew_token(job.id)
        assert token is not None
        assert (store.access(job.id, job.token), store.access(job.id, token)) == ("denied", "granted")
        store.complete(job.id, REPORT)
        assert store.renew_token(job.id) is None
        assert store.access(job.id, token) == "denied"


def test_the_database_is_private_and_contains_no_token(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with Store(path) as store:
        job = store.create_job("fix it", title="Fix")
        files = list(tmp_path.iterdir())
        content = b"".join(file.read_bytes() for file in files)
        modes = {stat.S_IMODE(file.stat().st_mode) for file in files}

    assert b"fix it" in content
    assert job.token.encode() not in content
    assert modes == {0o600}
    assert job.token not in repr(job)


def test_a_repeated_event_is_stored_once_and_in_order() -> None:
    with Store() as store:
        job = store.create_job("x", title="x")
        for seq in (0, 1, 1, 0, 2):
            store.add_event(job.id, "status", {"seq": seq})
        store.add_event(job.id, "status", {"message": "without a seq"})
        store.add_event(job.id, "status", {"message": "without a seq"})

        events = store.events(job.id, 0)
        assert [event.data.get("seq") for event in events] == [0, 1, 2, None, None]
        assert [event.number for event in events] == [1, 2, 3, 4, 5]
        assert [event.number for event in store.events(job.id, 3)] == [4, 5]


def test_events_of_different_jobs_are_separate() -> None:
    with Store() as store:
        one, two = store.create_job("1", title="1"), store.create_job("2", title="2")
        store.add_event(one.id, "status", {"seq": 0})
        store.add_event(two.id, "message", {"seq": 0})

        assert [(event.number, event.event_type) for event in store.events(two.id, 0)] == [(1, "message")]


def test_completion_revokes_the_token_deletes_credentials_and_withdraws_prompts() -> None:
    with Store() as store:
        job = store.create_job("x", title="x", credentials=[Credential(env_var="KEY", value="v")])
        store.add_prompt(job.id, Prompt(content="more"))

        assert store.complete(job.id, REPORT)
        assert not store.complete(job.id, CompletionReport(success=False, message="late", iterations=9))
        assert not store.abandon(job.id, "late")
        assert store.access(job.id, job.token) == "denied"
        assert store.credentials(job.id) == []
        assert store.take_prompt(job.id) is None
        assert not store.add_prompt(job.id, Prompt(content="late"))
        view = store.view(job.id)
        assert view is not None
        assert view.report is not None
        assert (view.state, view.report.message, view.report.iterations) == ("completed", "done", 4)


@pytest.mark.parametrize(
    ("status", "state"), [("stuck", "stuck"), ("cancelled", "cancelled"), ("nonsense", "failed"), (None, "failed")]
)
def test_a_failed_job_takes_its_state_from_the_result_event(status: str | None, state: str) -> None:
    with Store() as store:
        job = store.create_job("x", title="x")
        if status is not None:
            store.add_event(job.id, "result", {"seq": 0, "success": False, "status": status})
        store.complete(job.id, CompletionReport(success=False, message="no", iterations=1))
        view = store.view(job.id)

        assert view is not None
        assert view.state == state


def test_tokens_are_counted_and_stored_with_each_event() -> None:
    with Store() as store:
        job = store.create_job("x", title="x")
        for _ in range(2):
            store.add_request(job.id)
            store.add_usage(job.id, Reply(input_tokens=10, output_tokens=None))
        store.add_event(job.id, "status", {"seq": 0})

        view = store.view(job.id)
        assert view is not None
        assert (view.usage.requests, view.usage.input_tokens, view.usage.output_tokens) == (2, 20, 0)
        assert store.events(job.id, 0)[0].usage.input_tokens == 20


def test_prompts_are_taken_once_and_in_order() -> None:
    with Store() as store:
        job = store.create_job("x", title="x")
        store.add_prompt(job.id, Prompt(content="one"))
        store.add_prompt(job.id, Prompt(content="two", done=True))

        assert [store.take_prompt(job.id) for _ in range(3)] == [
            Prompt(content="one"),
            Prompt(content="two", done=True),
            None,
        ]


def test_a_prompt_is_shown_as_queued_then_as_taken_and_unread_once_the_job_has_ended() -> None:
    with Store() as store:
        job = store.create_job("x", title="x")
        for content in ("one", "two"):
            store.add_prompt(job.id, Prompt(content=content))
        assert [(prompt.content, prompt.taken) for prompt in store.prompts(job.id)] == [("one", None), ("two", None)]

        store.take_prompt(job.id)
        store.complete(job.id, REPORT)
        one, two = store.prompts(job.id)
        assert one.taken is not None
        assert one.sent <= one.taken
        assert two.taken is None


def test_the_model_is_the_one_that_replied_last_with_a_name() -> None:
    with Store() as store:
        job = store.create_job("x", title="x")
        for model, shown in ((None, None), ("small", "small"), ("large", "large"), (None, "large")):
            store.add_usage(job.id, Reply(), model)
            view = store.view(job.id)
            assert view is not None
            assert view.model == shown


async def test_followers_wake_for_each_event_and_at_the_end(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock
    with Store() as store:
        job = store.create_job("x", title="x")
        seen: tuple[list[int], list[int]] = ([], [])

        async def follow(numbers: list[int]) -> None:
            while events := await store.next_events(job.id, numbers[-1] if numbers else 0):
                numbers.extend(event.number for event in events)

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for numbers in seen:
                    nursery.start_soon(follow, numbers)
                for seq in range(3):
                    await trio.testing.wait_all_tasks_blocked()
                    store.add_event(job.id, "status", {"seq": seq})
                await trio.testing.wait_all_tasks_blocked()
                store.complete(job.id, REPORT)
        assert seen == ([1, 2, 3], [1, 2, 3])


async def test_following_an_unknown_job_ends_at_once() -> None:
    with Store() as store:
        assert await store.next_events("no such", 0) == []


def test_a_foreign_or_newer_database_is_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.db"
    foreign.write_text("this is no database, and long enough to be read as one " * 50)
    with pytest.raises(ConfigError, match=r"foreign\.db: file is not a database; move it away"):
        Store(foreign)
    newer = tmp_path / "newer.db"
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ConfigError, match=r"created by a newer version, .*; move the file away"):
        Store(newer)
    with pytest.raises(ConfigError, match="No such file or directory"):
        Store(tmp_path / "none" / "jobs.db")


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (x)")
        with pytest.raises(ConfigError, match=r"theirs\.db: not an orchestrator's database; use another one"):
            Store(path)
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_a_damaged_database_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    Store(path).__exit__()
    content = bytearray(path.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    path.write_bytes(content)

    with pytest.raises(ConfigError, match="malformed; move it away"):
        Store(path)


def test_a_full_disk_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError) as full:
            db.executescript("CREATE TABLE a (x); CREATE TABLE b (x); CREATE TABLE c (x); CREATE TABLE d (x);")

    assert (
        str(unusable(path, full.value, option="--state-dir"))
        == f"--state-dir: {path}: database or disk is full; free some space"
    )


@pytest.mark.integration
def test_programs_that_start_at_once_share_a_new_database(tmp_path: Path) -> None:
    program = (
        "import sys, trio; from pathlib import Path; from trioworker.orchestrator.store import Store\n"
        "from trioworker.orchestrator.database import unlocked\ninput()\n"
        "with Store(Path(sys.argv[1])) as store: trio.run(lambda: unlocked(store.create_job, 'Fix it.', title='Fix'))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "jobs.db")]
    programs = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(4)]
    for each in programs:
        assert each.stdin is not None
        each.stdin.write(b"\n")
        each.stdin.close()

    assert [each.wait() for each in programs] == [0] * 4
    with Store(tmp_path / "jobs.db") as store:
        assert len(store.views()) == 4
