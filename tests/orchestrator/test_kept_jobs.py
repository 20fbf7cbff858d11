"""Jobs of earlier runs, found by what identifies them to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trioworker.orchestrator.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as store:
        yield store


def create(store: Store, text: str = "Fix it.", folder: str = "/a", job_id: str | None = None) -> str:
    return store.create_job(text, title="Fix", project_dir=folder, job_id=job_id).id


def test_an_unfinished_job_is_found_by_text_and_folder(store: Store) -> None:
    job_id = create(store)

    assert store.kept.newest_like("Fix it.", "/a") == job_id
    assert store.kept.newest_like("Fix it!", "/a") is None
    assert store.kept.newest_like("Fix it.", "/b") is None


def test_an_ended_job_is_not_found_and_hides_older_ones(store: Store) -> None:
    create(store)
    newer = create(store)
    store.cancel(newer, "stopped")

    assert store.kept.newest_like("Fix it.", "/a") is None


def test_unfinished_jobs_of_a_folder_are_listed_newest_first(store: Store) -> None:
    first, ended, last = (create(store, text) for text in "abc")
    create(store, folder="/b")
    store.cancel(ended, "stopped")

    assert store.kept.unfinished_in("/a") == [last, first]


def test_jobs_are_found_by_the_start_of_their_id(store: Store) -> None:
    one = create(store, job_id="abcd1111-0000-4000-8000-000000000000")
    two = create(store, job_id="abcd2222-0000-4000-8000-000000000000")

    assert store.kept.with_prefix("abcd") == [two, one]
    assert store.kept.with_prefix("ABCD1") == [one]
    assert store.kept.with_prefix("a_cd") == []


def test_events_are_counted(store: Store) -> None:
    job_id = create(store)
    assert store.kept.event_count(job_id) == 0
    store.add_event(job_id, "status", {"seq": 0})
    store.add_event(job_id, "status", {"seq": 1})
    assert store.kept.event_count(job_id) == 2
