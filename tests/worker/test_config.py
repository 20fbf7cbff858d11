"""A program's configuration is checked by the rules of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from loguru import logger

from support.identity import JOB_ID, TOKEN
from trioworker import ConfigError, WorkerConfig, run_job
from trioworker.testing import DONE, SimulatedOrchestrator

if TYPE_CHECKING:
    from trio.testing import MockClock

REQUIRED: dict[str, Any] = {"job_id": JOB_ID, "token": TOKEN, "workspace": Path("/")}


def config(**fields: Any) -> WorkerConfig:
    return WorkerConfig(**{**REQUIRED, **fields})


@dataclass
class Case:
    field: str
    value: object
    message: str


@pytest.mark.parametrize(
    "case",
    [
        Case("job_id", "", "job_id '' is not a UUID, such as 123e4567-e89b-12d3-a456-426614174000"),
        Case("job_id", "…", "job_id '…' is not a UUID, "),
        Case("job_id", 5, "job_id 5 is not a UUID, "),
        Case("workspace", None, "workspace None is not a path"),
        Case("workspace", "", "workspace '' is not a path"),
        Case("workspace", "a\0b", "workspace 'a\\x00b' is not a path"),
        Case("orchestrator_url", "localhost:50051", "orchestrator_url 'localhost:50051' is not an http:// or https://"),
        Case("orchestrator_url", "http://host:99999", "orchestrator_url 'http://host:99999' is not an http:// or "),
        Case("orchestrator_url", "ftp://host", "orchestrator_url 'ftp://host' is not an http:// or https:// URL"),
        Case("orchestrator_url", None, "orchestrator_url None is not an http:// or https:// URL"),
        Case("max_iterations", 0, "max_iterations 0 is not a whole number from 1 to 500"),
        Case("max_iterations", "5", "max_iterations '5' is not a whole number from 1 to 500"),
        Case("max_iterations", True, "max_iterations True is not a whole number"),
        Case("timeout", -1, "timeout -1 is not a number of seconds over 0, at most 604800"),
        Case("timeout", float("nan"), "timeout nan is not a number of seconds"),
        Case("timeout", "590", "timeout '590' is not a number of seconds"),
        Case("timeout", None, "timeout None is not a number of seconds"),
        Case("grace", 0, "grace 0 is not a number of seconds"),
        Case("llm_timeout", float("inf"), "llm_timeout inf is not a number of seconds"),
        Case("poll_interval", False, "poll_interval False is not a number of seconds"),
        Case("reasoning", "three-phase", "reasoning 'three-phase' is not single or two-phase"),
        Case("containment", ["off"], "containment ['off'] is not auto, require or off"),
        Case("event_queue", 0, "event_queue 0 is not a whole number from 1"),
        Case("context_limit", 999, "context_limit 999 is not a whole number from 1000"),
        Case("token_budget", 0, "token_budget 0 is not a whole number from 1"),
        Case("max_tokens", 1.5, "max_tokens 1.5 is not a whole number from 1"),
        Case("output_limit", 2**70, "output_limit 1180591620717411303424 is not a whole number from 1000"),
        Case("allow_write", "/tmp", "allow_write '/tmp' is not a sequence of paths"),
        Case("allow_write", [5], "allow_write [5] is not a sequence of paths"),
        Case("pass_env", "PGHOST", "pass_env 'PGHOST' is not a sequence of names"),
        Case("pass_env", ["PG HOST"], "pass_env ['PG HOST'] is not a sequence of names"),
        Case("health_socket", "/" + "x" * 107, "is not a path of at most 107 bytes, the limit of a Unix socket"),
    ],
    ids=lambda case: f"{case.field}={case.value!r:.20}",
)
def test_unusable_value_is_one_line_that_names_the_field(case: Case) -> None:
    with pytest.raises(ConfigError) as raised:
        config(**{case.field: case.value})
    message = str(raised.value)
    assert message.startswith(f"WorkerConfig: {case.field} ")
    assert case.message in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("field", WorkerConfig.__struct_fields__)
def test_every_field_is_checked(field: str) -> None:
    with pytest.raises(ConfigError, match=f"^WorkerConfig: {field} "):
        config(**{field: object()})


@pytest.mark.parametrize("token", ["", " \n", "se\ncret", "sécret", None])
def test_unusable_token_is_named_and_not_shown(token: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        config(token=token)
    assert str(raised.value) == "WorkerConfig: token is not a token of printable ASCII characters"


def test_traceback_with_the_values_of_variables_does_not_show_the_token() -> None:
    lines: list[str] = []
    logger.add(lines.append, level="TRACE", diagnose=True, backtrace=True)
    values: dict[str, Any] = {**REQUIRED, "token": "very\nsecret"}
    try:
        WorkerConfig(**values)
    except ConfigError:
        del values
        logger.exception("unusable")
    assert "token is not a token" in "".join(lines)
    assert "secret" not in "".join(lines)


def test_changed_copy_is_checked() -> None:
    assert msgspec.structs.replace(config(), timeout=5).timeout == 5
    with pytest.raises(ConfigError, match="timeout 0 is not"):
        msgspec.structs.replace(config(), timeout=0)


def test_paths_may_be_text_and_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = config(workspace="code", state_dir="state", trace="t.json", allow_write=["cache"])
    assert (given.workspace, given.state_dir, given.trace) == (
        tmp_path / "code",
        tmp_path / "state",
        tmp_path / "t.json",
    )
    assert given.allow_write == (tmp_path / "cache",)


async def test_job_runs_in_a_workspace_given_as_relative_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    (tmp_path / "code").mkdir()
    monkeypatch.chdir(tmp_path)
    outcome = await run_job(config(workspace="code"), transport=SimulatedOrchestrator([DONE]))
    assert outcome.success


async def test_missing_workspace_is_one_line(tmp_path: Path, autojump_clock: MockClock) -> None:
    with pytest.raises(ConfigError, match="missing") as raised:
        await run_job(config(workspace=tmp_path / "missing"), transport=SimulatedOrchestrator([DONE]))
    assert len(str(raised.value).splitlines()) == 1
