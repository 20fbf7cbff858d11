"""The file of jobs: what a line may contain, and errors, which never show the token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from trioworker.cli.values import seconds
from trioworker.errors import ConfigError
from trioworker.fleet.jobs import FleetJob, read_jobs

if TYPE_CHECKING:
    from pathlib import Path

ID = "123e4567-e89b-12d3-a456-426614174000"
OTHER = "123e4567-e89b-12d3-a456-426614174001"
URL = "http://127.0.0.1:50051"


def read(path: Path, workspace: str | None = None) -> list[FleetJob]:
    return read_jobs(path, orchestrator_url=URL, workspace=workspace, worker_options={"timeout": seconds})


def line(**fields: Any) -> str:
    return json.dumps({"job_id": ID, "token": "s3cret", **fields})


def test_line_overrides_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    own = line(job_id=OTHER, orchestrator_url="http://far.test", workspace="/w", options={"timeout": 600})
    path.write_text(f"{line()}\n\n{own}\n")

    first, second = read(path, "/jobs/{job_id}")

    assert (first.job_id, first.token, first.orchestrator_url) == (ID, "s3cret", URL)
    assert (first.workspace, first.worker_options) == (f"/jobs/{ID}", ())
    assert (second.orchestrator_url, second.workspace) == ("http://far.test", "/w")
    assert second.worker_options == ("--timeout=600",)
    assert "s3cret" not in repr(first)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("{", "truncated"),
        ("[]", "Expected `object`"),
        (line(tokens="x"), "unknown field `tokens`"),
        (json.dumps({"job_id": ID}), "missing required field `token`"),
        (line(id=OTHER), "`job_id` and `id` differ"),
        ('{"token": "s3cret"}', "`job_id` is missing"),
        ('{"title": "x", "task": "y"}', "a task needs a model: give --llm"),
        (line(job_id="7"), "job_id: '7' is not a UUID"),
        (line(token="s3c\nret"), "token: is not a token of printable"),
        (line(token=" "), "token: is not a token"),
        (line(orchestrator_url="ftp://x"), "orchestrator_url: 'ftp://x' is not an http:// or"),
        (line(options={"job-id": OTHER}), "options: 'job-id' is unknown"),
        (line(options={"timeout": -1}), "options.timeout: '-1' is not a number of seconds over 0"),
        (line(job_id=OTHER.upper()), "is a duplicate"),
        (line(image=""), "image: '' is not the name of an image"),
        (line(image="a b"), "image: 'a b' is not the name of an image"),
        (line(resources={"gpu": 1}), "resources: 'gpu' is unknown; use cpu, memory, ephemeral-storage, or a device"),
        (line(resources={"cpu": "2 cores"}), "resources: cpu: '2 cores' is not a Kubernetes quantity, such as 500m"),
        (line(resources={"cpu": -1}), "resources: cpu: '-1' is not a Kubernetes quantity"),
        (line(resources={"memory": "4GB"}), "resources: memory: '4GB' is not a Kubernetes quantity"),
        (line(resources={"memory": "512m"}), "resources: memory: '512m' is not an amount of memory, such as 512Mi"),
        (line(resources={"nvidia.com/gpu": 0.5}), "resources: nvidia.com/gpu: '0.5' is not a whole number"),
        (line(resources={"cpu": True}), "Expected `int | float | str`, got `bool`"),
        (line(resources=["cpu"]), "Expected `object`, got `array`"),
        ("\xff", "not UTF-8; save the file as UTF-8"),
    ],
)
def test_bad_line_is_an_error_with_file_and_line(tmp_path: Path, bad: str, why: str) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_bytes(f"{line(job_id=OTHER)}\n".encode() + bad.encode("latin-1") + b"\n")

    with pytest.raises(ConfigError) as caught:
        read(path)

    assert str(caught.value).startswith(f"{path}:2: ")
    assert why in str(caught.value)
    assert "s3c" not in str(caught.value)


def test_answer_of_the_orchestrator_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_text(json.dumps({"id": ID, "token": "s3cret", "title": "Fix it"}) + "\n")
    (job,) = read(path)
    assert (job.job_id, job.token, job.title, job.name) == (ID, "s3cret", "Fix it", "Fix it")


def test_line_may_have_an_image_and_resources(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_text(line(image="registry.test/gpu:1", resources={"cpu": 2, "memory": "4Gi", "nvidia.com/gpu": 1}))
    (job,) = read(path)
    quantities = {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"}
    assert (job.image, dict(job.resources)) == ("registry.test/gpu:1", quantities)


def test_file_without_jobs_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    with pytest.raises(ConfigError, match="No such file"):
        read(path)
    path.write_text("\n")
    with pytest.raises(ConfigError, match="contains no jobs"):
        read(path)
