"""The worker's options: where a value comes from, and what is none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from trioworker.cli import option_table, options, values
from trioworker.errors import ConfigError
from trioworker.protocol import values as contract_values
from trioworker.worker import config

if TYPE_CHECKING:
    from collections.abc import Mapping

JOB_ID = "123e4567-e89b-12d3-a456-426614174000"


def resolve(arguments: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    return options.resolve(option_table.WORKER, {"job_id": JOB_ID, **(arguments or {})}, environ or {})


def test_the_defaults_are_the_contracts() -> None:
    values = resolve()
    assert values["workspace"].samefile(".")
    assert (
        values.items()
        >= {
            "job_id": JOB_ID,
            "orchestrator_url": "http://host.docker.internal:50051",
            "max_iterations": 50,
            "timeout": 590.0,
            "grace": 8.0,
            "reasoning": "single",
            "log_level": "info",
            "log_format": "text",
            "containment": "auto",
            "allow_write": None,
        }.items()
    )


CONTRACT = [
    ("job_id", "JOB_ID", "00000000-0000-4000-8000-00000000000%s"),
    ("orchestrator_url", "ORCHESTRATOR_URL", "http://host%s.test"),
    ("max_iterations", "MAX_ITERATIONS", "1%s"),
]


@pytest.mark.parametrize(("key", "variable", "form"), CONTRACT)
def test_an_option_beats_our_variable_which_beats_the_contracts(key: str, variable: str, form: str) -> None:
    ours, theirs = {f"TRIOWORKER_{variable}": form % 2}, {f"IRONCLAW_{variable}": form % 3}
    sources = {"job_id": None if key == "job_id" else JOB_ID}
    assert str(resolve({**sources, key: form % 1}, {**ours, **theirs})[key]) == form % 1
    assert str(resolve(sources, {**ours, **theirs})[key]) == form % 2
    assert str(resolve(sources, theirs)[key]) == form % 3
    assert str(resolve(sources, {f"TRIOWORKER_{variable}": "", **theirs})[key]) == form % 3


def test_the_workspace_may_come_from_either_variable(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    environ = {"TRIOWORKER_WORKSPACE": str(ours), "IRONCLAW_WORKSPACE": str(theirs)}
    assert resolve({"workspace": str(tmp_path)}, environ)["workspace"] == tmp_path
    assert resolve({}, environ)["workspace"] == ours
    assert resolve({}, {"IRONCLAW_WORKSPACE": str(theirs)})["workspace"] == theirs
    assert resolve({}, {"IRONCLAW_WORKSPACE": ""})["workspace"].samefile(".")


@pytest.mark.parametrize(
    ("variable", "key", "text", "value"),
    [
        ("TRIOWORKER_TIMEOUT", "timeout", "12.5", 12.5),
        ("TRIOWORKER_GRACE", "grace", "3", 3.0),
        ("TRIOWORKER_REASONING", "reasoning", "two-phase", "two-phase"),
        ("TRIOWORKER_LOG_LEVEL", "log_level", "debug", "debug"),
        ("TRIOWORKER_LOG_FORMAT", "log_format", "json", "json"),
        ("TRIOWORKER_CONTAINMENT", "containment", "require", "require"),
        ("TRIOWORKER_ALLOW_WRITE", "allow_write", "/usr:/etc:", (Path("/usr"), Path("/etc"))),
    ],
)
def test_every_option_has_a_variable(variable: str, key: str, text: str, value: object) -> None:
    assert resolve({}, {variable: text})[key] == value


def test_a_job_id_is_required() -> None:
    with pytest.raises(ConfigError, match="--job-id is missing: give it, or set TRIOWORKER_JOB_ID"):
        resolve({"job_id": None}, {"TRIOWORKER_JOB_ID": "", "IRONCLAW_JOB_ID": ""})


def test_an_empty_option_is_not_replaced_by_a_variable() -> None:
    with pytest.raises(ConfigError, match="--job-id is missing"):
        resolve({"job_id": ""}, {"IRONCLAW_JOB_ID": JOB_ID})


@pytest.mark.parametrize("text", [JOB_ID, JOB_ID.upper()])
def test_a_uuid_stays_as_it_was_written(text: str) -> None:
    assert contract_values.job_id(text) == text


GOOD_URLS = [
    "http://localhost",
    "http://localhost:50051",
    "https://orchestrator.example/base/",
    "http://127.0.0.1:1",
    "http://[::1]:65535",
    "HTTP://Host",
]


@pytest.mark.parametrize("text", GOOD_URLS)
def test_a_url(text: str) -> None:
    assert contract_values.http_url(text) == text


BAD_VALUES = [
    *(("job_id", text) for text in ("7", JOB_ID[:-1], JOB_ID + "0", JOB_ID.replace("-", ""), f"{{{JOB_ID}}}", "../x")),
    *(
        ("orchestrator_url", text)
        for text in (
            "localhost:50051",
            "ftp://host",
            "http://",
            "http:///path",
            "http://host:0",
            "http://host:65536",
            "http://host:port",
            "http://[::1",
            "http://my host",
            "http://host/\n",
            "http://host/\x7f",
            "http://user:secret@host",
            "http://host?job=1",
            "http://host/#top",
            "nonsense",
        )
    ),
    *(("max_iterations", text) for text in ("0", "501", "-1", "1.5", "many", "9" * 400, " ")),
    *(("timeout", text) for text in ("0", "-1", "nan", "inf", "1e9", "soon")),
    *(("grace", text) for text in ("0", "-0.1", "NaN")),
    ("reasoning", "triple"),
    ("log_level", "loud"),
    ("log_format", "xml"),
    ("containment", "always"),
    ("allow_write", ":"),
    ("allow_write", "/usr:/nonexistent"),
    ("workspace", "/nonexistent"),
    ("workspace", "/etc/hostname"),
    ("workspace", "/" + "x" * 5_000),
]


@pytest.mark.parametrize(("key", "text"), BAD_VALUES, ids=lambda value: repr(value)[:40])
def test_a_bad_value_is_told_with_its_source_and_what_it_should_be(key: str, text: str) -> None:
    name = "--" + key.replace("_", "-")
    with pytest.raises(ConfigError) as caught:
        resolve({key: text})
    told = str(caught.value)
    assert told.startswith(f"{name}: ")
    assert " is not a" in told or " or " in told
    assert len(told) < 400
    with pytest.raises(ConfigError, match=f"TRIOWORKER_{key.upper()}: "):
        resolve({"job_id": None if key == "job_id" else JOB_ID}, {f"TRIOWORKER_{key.upper()}": text})


def test_paths_are_resolved_and_written_as_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    paths = values.existing_paths(f"{tmp_path}/link:/etc")
    assert paths == (tmp_path / "real", Path("/etc"))
    assert values.existing_paths(str(paths)) == paths


def test_a_workspace_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert values.directory(f"{tmp_path}/link/../link/.") == tmp_path / "real"


def test_a_workspace_that_is_a_loop_of_links_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ValueError, match="a folder that exists"):
        values.directory(str(tmp_path / "loop"))


def test_the_bounds_are_part_of_what_is_allowed() -> None:
    most = str(config.MAX_ITERATIONS_LIMIT)
    assert resolve({"max_iterations": "1"})["max_iterations"] == 1
    assert resolve({"max_iterations": most})["max_iterations"] == 500


def test_a_token() -> None:
    assert options.token({"IRONCLAW_WORKER_TOKEN": " abc \n"}) == "abc"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_token_is_required(value: str | None) -> None:
    environ = {} if value is None else {"IRONCLAW_WORKER_TOKEN": value}
    with pytest.raises(ConfigError, match="IRONCLAW_WORKER_TOKEN is not set"):
        options.token(environ)


@pytest.mark.parametrize("value", ["a\nb", "caf\u00e9", "a\0b"])
def test_a_token_that_no_header_can_carry_is_not_shown(value: str) -> None:
    with pytest.raises(ConfigError, match="is not a token of printable") as caught:
        options.token({"IRONCLAW_WORKER_TOKEN": value})
    assert value not in str(caught.value)
