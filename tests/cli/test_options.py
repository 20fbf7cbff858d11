"""Where the value of an option comes from, and what makes it an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from trioworker.cli import option_table, options
from trioworker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

JOB_ID = "123e4567-e89b-12d3-a456-426614174000"


def resolve(arguments: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    return options.resolve(option_table.WORKER, {"job_id": JOB_ID, **(arguments or {})}, environ or {})


CONTRACT = [
    ("job_id", "JOB_ID", "00000000-0000-4000-8000-00000000000%s"),
    ("orchestrator_url", "ORCHESTRATOR_URL", "http://host%s.test"),
    ("max_iterations", "MAX_ITERATIONS", "1%s"),
]


@pytest.mark.parametrize(("key", "variable", "form"), CONTRACT)
def test_option_overrides_our_variable_which_overrides_the_contracts(key: str, variable: str, form: str) -> None:
    ours, theirs = {f"TRIOWORKER_{variable}": form % 2}, {f"IRONCLAW_{variable}": form % 3}
    sources = {"job_id": None if key == "job_id" else JOB_ID}
    assert str(resolve({**sources, key: form % 1}, {**ours, **theirs})[key]) == form % 1
    assert str(resolve(sources, {**ours, **theirs})[key]) == form % 2
    assert str(resolve(sources, theirs)[key]) == form % 3
    assert str(resolve(sources, {f"TRIOWORKER_{variable}": "", **theirs})[key]) == form % 3


def test_workspace_may_come_from_either_variable(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    environ = {"TRIOWORKER_WORKSPACE": str(ours), "IRONCLAW_WORKSPACE": str(theirs)}
    assert resolve({"workspace": str(tmp_path)}, environ)["workspace"] == tmp_path
    assert resolve({}, environ)["workspace"] == ours
    assert resolve({}, {"IRONCLAW_WORKSPACE": str(theirs)})["workspace"] == theirs
    assert resolve({}, {"IRONCLAW_WORKSPACE": ""})["workspace"].samefile(".")


def test_variable_is_parsed_as_the_option_is() -> None:
    environ = {"TRIOWORKER_TIMEOUT": "12.5", "TRIOWORKER_ALLOW_WRITE": "/usr:/etc:"}
    values = resolve({}, environ)
    assert values["timeout"] == 12.5
    assert values["allow_write"] == (Path("/usr"), Path("/etc"))


def test_required_option_without_a_value_is_an_error() -> None:
    with pytest.raises(ConfigError, match="--job-id is missing: give it, or set TRIOWORKER_JOB_ID"):
        resolve({"job_id": None}, {"TRIOWORKER_JOB_ID": "", "IRONCLAW_JOB_ID": ""})


def test_empty_option_is_an_error_even_with_a_variable() -> None:
    with pytest.raises(ConfigError, match="--job-id is missing"):
        resolve({"job_id": ""}, {"IRONCLAW_JOB_ID": JOB_ID})


def test_long_value_is_cut_in_the_error() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve({"timeout": "9" * 5_000 + "x"})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Path.home() / ".local/state/trioworker"),
        ({"XDG_STATE_HOME": "/var/state"}, Path("/var/state/trioworker")),
        # The specification has relative paths ignored.
        ({"XDG_STATE_HOME": "state"}, Path.home() / ".local/state/trioworker"),
    ],
)
def test_user_state_dir_follows_the_xdg_specification(environ: dict[str, str], expected: Path) -> None:
    assert options.user_state_dir(environ) == expected


@pytest.mark.skipif(os.getuid() != 0, reason="becomes a user without an entry in /etc/passwd")
def test_user_without_a_home_needs_a_state_dir() -> None:
    program = (
        "import os\nfrom trioworker.cli import options\nfrom trioworker.errors import ConfigError\n"
        "os.environ.pop('HOME')\nos.setuid(54321)\n"
        "try:\n    options.user_state_dir(os.environ)\nexcept ConfigError as error:\n    print(error)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "XDG_STATE_HOME"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout == "user 54321 has no home folder; name a folder with --state-dir\n"


@pytest.mark.parametrize("text", ["caf\udce9", "/tmp/caf\udce9"])
def test_text_that_is_not_utf8_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="is not valid UTF-8"):
        resolve({"state_dir": text})


def test_token_is_stripped() -> None:
    assert options.token({"IRONCLAW_WORKER_TOKEN": " abc \n"}) == "abc"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_missing_token_is_an_error(value: str | None) -> None:
    environ = {} if value is None else {"IRONCLAW_WORKER_TOKEN": value}
    with pytest.raises(ConfigError, match="IRONCLAW_WORKER_TOKEN is not set"):
        options.token(environ)


@pytest.mark.parametrize("value", ["a\nb", "caf\u00e9", "a\0b"])
def test_unusable_token_is_not_quoted_in_the_error(value: str) -> None:
    with pytest.raises(ConfigError, match="is not a token of printable") as caught:
        options.token({"IRONCLAW_WORKER_TOKEN": value})
    assert value not in str(caught.value)
