"""What a fleet of tasks refuses before it creates anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from trioworker.errors import ConfigError
from trioworker.fleet.config import FleetConfig
from trioworker.fleet.run import run_fleet
from trioworker.fleet.task_run import workspaces_root

if TYPE_CHECKING:
    from pathlib import Path


def config(folder: Path, **changed: Any) -> FleetConfig:
    options: dict[str, Any] = {
        "jobs": folder / "tasks.jsonl",
        "engine": "process",
        "orchestrator_url": "http://127.0.0.1:1",
        "workspace": None,
        "results": folder / "tasks.results.jsonl",
        "logs": None,
        "parallel": 1,
        "attempts": 3,
        "cpu": 1.0,
        "memory": "1Gi",
        "address": None,
        "kubeconfig": None,
        "context": None,
        "namespace": None,
        "image": None,
        "pod_template": None,
        "dry_run": False,
        "admin_token": None,
        "llm": f"script:{folder / 'turns.json'}",
        "model": None,
        "api_key_variable": None,
        "state_dir": folder / "state",
        "worker_options": {},
    }
    return FleetConfig(**{**options, **changed})


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"engine": "ray"}, "--llm is for --engine process: start an orchestrator that the nodes of ray reach"),
        ({"engine": "kubernetes"}, "--llm is for --engine process: "),
        ({"workspace": "x"}, "--workspace is for jobs of an orchestrator; a task has"),
        ({"llm": "psychic:x"}, "--llm psychic:x: "),
        ({"llm": None}, "tasks.jsonl:1: a task needs a model: give --llm"),
    ],
)
def test_bad_usage_is_refused_before_anything_is_created(tmp_path: Path, changed: dict[str, Any], why: str) -> None:
    (tmp_path / "tasks.jsonl").write_text('{"task": "x"}\n')
    with pytest.raises(ConfigError) as caught:
        run_fleet(config(tmp_path, **changed))
    assert why in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["tasks.jsonl"]


@pytest.mark.parametrize(
    ("results", "root"),
    [
        ("tasks.results.jsonl", "tasks.workspaces"),
        ("batch.1.results.jsonl", "batch.1.workspaces"),
        ("answers.jsonl", "answers.workspaces"),
        ("answers", "answers.workspaces"),
    ],
)
def test_workspaces_are_beside_the_results(tmp_path: Path, results: str, root: str) -> None:
    assert workspaces_root(config(tmp_path, results=tmp_path / results)) == tmp_path / root
