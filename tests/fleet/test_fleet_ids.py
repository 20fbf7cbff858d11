"""The identity of a fleet: the same when it is run again, another one with a new file of results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trioworker.errors import ConfigError
from trioworker.fleet.fleet_ids import fleet_id, forget_fleet, task_job_id
from trioworker.protocol.values import job_id

if TYPE_CHECKING:
    from pathlib import Path


def test_fleet_keeps_its_id_until_its_results_are_new(tmp_path: Path) -> None:
    database, results = tmp_path / "jobs.sqlite", tmp_path / "results.jsonl"
    first = fleet_id(database, results, None)
    assert fleet_id(database, results, None) == first
    assert fleet_id(database, tmp_path / "others.jsonl", None) != first
    forget_fleet(database, results)
    assert fleet_id(database, results, None) != first


def test_id_in_the_results_takes_precedence(tmp_path: Path) -> None:
    database, results = tmp_path / "jobs.sqlite", tmp_path / "results.jsonl"
    mine = fleet_id(database, results, None)
    moved = fleet_id(tmp_path / "another.sqlite", tmp_path / "moved.jsonl", mine)
    assert moved == mine


def test_job_id_is_that_of_the_task_in_this_fleet(tmp_path: Path) -> None:
    database = tmp_path / "jobs.sqlite"
    one, two = (fleet_id(database, tmp_path / name, None) for name in ("one", "two"))
    ids = {task_job_id(fleet, key) for fleet in (one, two) for key in ("a-1", "a-2")}
    assert len(ids) == 4
    assert task_job_id(one, "a-1") in ids
    assert all(job_id(each) for each in ids)


def test_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    database = tmp_path / "jobs.sqlite"
    database.write_text("not a database " * 100)
    with pytest.raises(ConfigError) as caught:
        fleet_id(database, tmp_path / "results.jsonl", None)
    assert "\n" not in str(caught.value)
