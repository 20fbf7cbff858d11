"""The manifest in docs/containers.md and the settings of the image are valid for the program."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.program import ran
from trioworker.cli.option_table import WORKER
from trioworker.cli.options import resolve

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
GRACE = 10
"""Minimum seconds from SIGTERM to SIGKILL, by the contract."""


@pytest.fixture(scope="module")
def pod() -> dict[str, Any]:
    (manifest,) = re.findall(
        r"^```yaml\n(.*?)^```", (ROOT / "docs/containers.md").read_text(), re.MULTILINE | re.DOTALL
    )
    return yaml.safe_load(manifest)["spec"]["template"]["spec"]


def environment() -> dict[str, str]:
    (settings,) = re.findall(
        r"^ENV (PYTHONDONTWRITEBYTECODE(?:.*\\\n)*.*)$", (ROOT / "Containerfile").read_text(), re.MULTILINE
    )
    return dict(setting.split("=", 1) for setting in shlex.split(settings.replace("\\\n", " ")))


def test_arguments_of_the_manifest_are_valid(pod: dict[str, Any]) -> None:
    command, *arguments = pod["containers"][0]["args"]
    given = {
        name.removeprefix("--").replace("-", "_"): value for name, value in zip(*[iter(arguments)] * 2, strict=True)
    }
    values = resolve(WORKER, given, {})
    assert command == "worker"
    assert {name: values[name] for name in given} == given
    assert pod["terminationGracePeriodSeconds"] > GRACE


async def test_liveness_probe_runs_trioworker_health(pod: dict[str, Any], tmp_path: Path) -> None:
    program, *arguments = pod["containers"][0]["livenessProbe"]["exec"]["command"]
    path = tmp_path / "health.sock"
    ended = await ran(*arguments, environment={"TRIOWORKER_HEALTH_SOCKET": str(path)})
    assert program == "trioworker"
    assert ended.complaint == f"trioworker: no worker answers at {path}: No such file or directory; is one running?"


def test_volumes_match_the_paths_of_the_image(pod: dict[str, Any]) -> None:
    mounted = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounted == {"/workspace", "/tmp", environment()["TRIOWORKER_STATE_DIR"]}


def test_variables_of_the_image_are_options() -> None:
    variables = {name for name in environment() if name.startswith("TRIOWORKER_")}
    assert variables == {"TRIOWORKER_STATE_DIR", "TRIOWORKER_HEALTH_SOCKET"}
    assert variables <= {option.variable for option in WORKER}
