"""Which variables commands inherit: known ones on a workstation, and all but secrets in a container."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trioworker import run_job
from trioworker.testing import DONE, SimulatedOrchestrator, call
from trioworker.worker.processes.environment import child_environment
from trioworker.worker.redaction.secrets import Redactor
from worker.redaction.secret_samples import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = {
    "PATH": "/bin",
    "LC_ALL": "C",
    "HOME": "/home/me",
    "HTTPS_PROXY": "http://me:word@proxy:3128",
    "GIT_CONFIG_GLOBAL": "/etc/gitconfig",
    "GIT_CONFIG_SYSTEM": "/etc/gitconfig",
    "GIT_CONFIG_NOSYSTEM": "1",
    "npm_config_registry": "http://mirror/npm",
}
SECRET_NAMES = [
    *("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "MYSQL_PWD", "OPENAI_API_KEY", "SERVICE_APIKEY"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "DB_PASS", "STORAGE_KEY", "npm_config__auth", "SENTRY_DSN", "SESSION_COOKIE"),
    *("AZURE_STORAGE_CONNECTION_STRING", "DOCKER_AUTH_CONFIG", "github_token", "AUTHTOKEN", "SIGNING_KEY_BASE64"),
]
ORDINARY_NAMES = [
    *("MONKEY", "KEYBOARD_LAYOUT", "SSH_AUTH_SOCK", "COMPASS", "TOKENIZERS_PARALLELISM", "AUTHOR", "XAUTHORITY"),
    *(
        "PGHOST",
        "DJANGO_SETTINGS_MODULE",
        "JAVA_TOOL_OPTIONS",
        "PATHEXT",
        "KUBERNETES_SERVICE_HOST",
        "PASSENGER_APP_ENV",
    ),
]


@pytest.mark.parametrize("contained", [True, False])
def test_known_variables_are_inherited(contained: bool) -> None:
    child = child_environment(KNOWN, {}, contained=contained)
    assert KNOWN.items() <= child.items()


@pytest.mark.parametrize("name", [*SECRET_NAMES, *ORDINARY_NAMES])
def test_unknown_variable_is_not_inherited_on_a_workstation(name: str) -> None:
    assert name not in child_environment({name: "x"}, {})


@pytest.mark.parametrize("name", ORDINARY_NAMES)
def test_ordinary_variable_is_inherited_in_a_container(name: str) -> None:
    assert child_environment({name: "x"}, {}, contained=True)[name] == "x"


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_variable_with_the_name_of_a_secret_is_not_inherited_in_a_container(name: str) -> None:
    assert name not in child_environment({name: "x"}, {}, contained=True)


@pytest.mark.parametrize(
    "value", [*(secret for _, secret in SAMPLES), "postgres://u:p@host/db", "redis://:p@host", "x granted-value"]
)
def test_variable_with_the_value_of_a_secret_is_not_inherited_in_a_container(value: str) -> None:
    redactor = Redactor(credentials=["granted-value"])
    child = child_environment(
        {"SETTING": value, "OTHER": "http://host:80/a@b"},
        {},
        contained=True,
        holds_secret=lambda text: redactor.redact(text).text != text,
    )
    assert "SETTING" not in child
    assert "OTHER" in child


@pytest.mark.parametrize(
    "name", ["IRONCLAW_JOB_ID", "TRIOWORKER_STATE_DIR", "OTEL_EXPORTER_OTLP_HEADERS", "PWD", "OLDPWD"]
)
def test_variables_of_the_worker_itself_are_not_inherited_in_a_container(name: str) -> None:
    assert name not in child_environment({name: "x"}, {}, contained=True)


@pytest.mark.parametrize("contained", [True, False])
def test_passed_variables_are_inherited_even_if_they_look_secret_but_never_the_token(contained: bool) -> None:
    environ = {"DEPLOY_TOKEN": "d", "EDITOR": "ed", "IRONCLAW_WORKER_TOKEN": "t", "OTHER_TOKEN": "o"}
    child = child_environment(
        environ,
        {},
        contained=contained,
        pass_env=("DEPLOY_TOKEN", "EDITOR", "IRONCLAW_WORKER_TOKEN", "UNSET"),
        holds_secret=lambda _: True,
    )
    assert (child["DEPLOY_TOKEN"], child["EDITOR"]) == ("d", "ed")
    assert not child.keys() & {"IRONCLAW_WORKER_TOKEN", "OTHER_TOKEN", "UNSET"}


async def test_command_of_a_job_has_the_passed_variables(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "passed-on")
    monkeypatch.setenv("OTHER_TOKEN", "kept-back")
    world = SimulatedOrchestrator([call("shell", command="env"), DONE], thinking=0.0)
    await run_job(world.config(workspace, pass_env=("DEPLOY_TOKEN",)), transport=world)
    (answer,) = [message for message in world.conversations()[-1] if message["role"] == "tool"]
    assert "DEPLOY_TOKEN=passed-on" in answer["content"]
    assert "kept-back" not in answer["content"]
