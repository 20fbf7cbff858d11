"""`fleet --dry-run`: prints valid objects without tokens, and writes nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fleet.test_task_run import config
from trioworker.errors import ConfigError
from trioworker.fleet.kubernetes.manifests.yaml_text import to_yaml
from trioworker.fleet.run import run_fleet

if TYPE_CHECKING:
    from pathlib import Path

IDS = ["123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174001"]
RESULT = {
    "job_id": IDS[0],
    "exit_code": 0,
    "status": "completed",
    "success": True,
    "message": "",
    "seconds": 1.0,
    "attempts": 1,
    "engine": "kubernetes",
    "node": None,
}


def dry_run(folder: Path, *lines: dict[str, Any], **changed: Any) -> int:
    (folder / "jobs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = {"jobs": folder / "jobs.jsonl", "engine": "kubernetes", "image": "img:1", "dry_run": True, "llm": None}
    return run_fleet(config(folder, **{**options, **changed}))


def job(job_id: str, **fields: Any) -> dict[str, Any]:
    return {"job_id": job_id, "token": "s3cret", **fields}


def test_objects_of_all_jobs_are_printed_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = dry_run(tmp_path, *map(job, IDS), namespace="jobs", logs=tmp_path / "logs")

    printed = capsys.readouterr()
    objects = list(yaml.safe_load_all(printed.out))
    assert code == 0
    assert [each["kind"] for each in objects] == ["Job", "Secret"] * 2
    assert {each["metadata"]["name"] for each in objects} == {f"trioworker-{job_id}" for job_id in IDS}
    assert {each["metadata"]["namespace"] for each in objects} == {"jobs"}
    assert "s3cret" not in printed.out
    assert objects[1]["stringData"] == {"token": "REDACTED"}
    assert "nothing was created: 2 of 2 jobs have no result" in printed.err
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["jobs.jsonl"]


@pytest.mark.parametrize("version", ["1.31", "1.34", "1.36"])
def test_printed_objects_are_valid(tmp_path: Path, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    validate: Any = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    dry_run(tmp_path, job(IDS[0], image="own:1", resources={"cpu": 2, "nvidia.com/gpu": 1}), image=None)
    for each in yaml.safe_load_all(capsys.readouterr().out):
        validate.validate(each, version, strict=True)


def test_jobs_with_a_result_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "tasks.results.jsonl"
    incomplete = json.dumps(RESULT) + '\n{"job_id":"1'
    results.write_text(incomplete)

    dry_run(tmp_path, *map(job, IDS))

    assert {each["metadata"]["name"] for each in yaml.safe_load_all(capsys.readouterr().out)} == {
        f"trioworker-{IDS[1]}"
    }
    assert results.read_text() == incomplete


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"engine": "process"}, "--dry-run prints the objects of --engine kubernetes; leave it out for another engine"),
        ({"engine": "ray"}, "--dry-run prints"),
        ({"llm": "script:x"}, "--dry-run prints"),
        (
            {"image": None},
            "--image is missing: give it, or name the worker's image in --pod-template or in the line of",
        ),
    ],
)
def test_what_cannot_be_printed_is_refused(tmp_path: Path, changed: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        dry_run(tmp_path, job(IDS[0]), **changed)
    assert why in str(caught.value)


def test_image_may_come_from_each_line_or_the_template(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template = tmp_path / "pod.yaml"
    template.write_text("spec: {containers: [{name: worker, image: 'template:1'}]}")
    for lines, options in (
        ([job(IDS[0], image="line:1")], {"image": None}),
        ([job(IDS[0])], {"image": None, "pod_template": template}),
        ([job(IDS[0])], {"image": "option:1"}),
        ([job(IDS[0], image="line:2")], {"image": "template:1", "pod_template": template}),
    ):
        dry_run(tmp_path, *lines, **options)
    objects = yaml.safe_load_all(capsys.readouterr().out)
    images = [each["spec"]["template"]["spec"]["containers"][0]["image"] for each in objects if each["kind"] == "Job"]
    assert images == ["line:1", "template:1", "option:1", "line:2"]
    with pytest.raises(ConfigError, match="--image other:1: --pod-template names another image for the worker, templ"):
        dry_run(tmp_path, job(IDS[0]), image="other:1", pod_template=template)


@pytest.mark.parametrize("engine", ["process", "ray"])
@pytest.mark.parametrize("fields", [{"image": "x"}, {"resources": {"cpu": 2}}])
def test_other_engines_refuse_fields_of_pods(tmp_path: Path, engine: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        dry_run(tmp_path, job(IDS[0], **fields), engine=engine, dry_run=False)
    (name,) = fields
    assert f"job {IDS[0]} has `{name}`, which is for --engine kubernetes, not {engine}; remove it" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["1e3", "0o17", "y", "n", "true", "null", "1_000", "2024-01-31", "-x", "~", "a: b", "…"]
)
def test_texts_stay_texts_for_every_parser(text: str) -> None:
    printed = to_yaml([{"text": text}])
    assert yaml.safe_load(printed) == {"text": text}
    quoted = printed.split("text: ")[1][:1] in "'\""
    assert quoted or text == "…"


def test_shared_values_are_printed_in_full() -> None:
    shared = ["a"]
    assert "&" not in to_yaml([{"one": shared, "two": shared}])


@pytest.mark.parametrize(
    ("url", "pod", "warned"),
    [
        ("http://127.0.0.1:50051", {}, True),
        ("http://localhost:50051", {}, True),
        ("http://127.0.0.1:50051", {"hostNetwork": True}, False),
        ("http://orchestrator:50051", {}, False),
    ],
)
def test_an_orchestrator_on_the_loopback_interface_is_one_line_of_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str, pod: dict[str, Any], warned: bool
) -> None:
    template = tmp_path / "pod.yaml"
    template.write_text(json.dumps({"spec": pod}))

    code = dry_run(tmp_path, *(job(job_id, orchestrator_url=url) for job_id in IDS), pod_template=template)

    warning = f"trioworker: warning: 2 jobs use the orchestrator {url}, which in a pod is the pod itself; set "
    assert code == 0
    assert capsys.readouterr().err.count(warning) == warned
