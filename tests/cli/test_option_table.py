"""Every option of every subcommand: one line of help, and a value from the command line or a variable."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from trioworker.cli import option_table, options
from trioworker.cli.engine_options import ENGINES
from trioworker.cli.main import main
from trioworker.errors import ConfigError
from trioworker.worker.config import WorkerConfig

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.cli.options import Option

JOB_ID = "123e4567-e89b-12d3-a456-426614174000"

TABLES = {
    "worker": option_table.WORKER,
    "local": option_table.LOCAL,
    "jobs": option_table.JOBS,
    "orchestrator": option_table.ORCHESTRATOR,
    "health": option_table.HEALTH,
    "tree": option_table.TREE,
    "fleet": option_table.FLEET,
}

OPTIONS = [
    pytest.param(command, option, id=f"{command}-{option.name}")
    for command, table in TABLES.items()
    for option in table
]

VALUES = {
    "job-id": JOB_ID,
    "orchestrator-url": "http://other.test",
    "workspace": "/",
    "max-iterations": "7",
    "timeout": "12.5",
    "time-from": "12.5",
    "grace": "3",
    "context-limit": "2000",
    "token-budget": "500000",
    "max-tokens": "8000",
    "llm-timeout": "60",
    "output-limit": "9000",
    "pass-env": "PGHOST,PGUSER",
    "reasoning": "two-phase",
    "containment": "require",
    "allow-write": "/usr:/etc:",
    "tool": "my_tools:WordCount",
    "follow-ups": "-",
    "log-level": "debug",
    "log-format": "json",
    "port": "1",
    "max-idle": "40",
    "engine": "ray",
    "parallel": "9",
    "attempts": "5",
    "cpu": "1.5",
    "memory": "1Gi",
    "dry-run": "on",
    "json": "on",
    "web": "true",
    "new": "on",
    "virtual-time": "1",
    "attachable": "on",
    "on-sigterm": "suspend",
}
"""A value of each option that doesn't take any text; none is a default."""


def value_of(option: Option) -> str:
    return VALUES.get(option.name, "some-text")


def required(command: str, *, but: Option) -> dict[str, str]:
    """Values of the required options, except for one."""
    return {each.key: value_of(each) for each in TABLES[command] if each.default is None and each is not but}


def help_text(command: str, capsys: pytest.CaptureFixture[str], columns: int = 100) -> str:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit) as exit_:
            main([command, "--help"])
    assert exit_.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", TABLES)
def test_help_has_each_option_with_its_default(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = " ".join(help_text(command, capsys).split())
    for option in TABLES[command]:
        help_ = options.help_of(option)
        metavar = f"[{option.metavar}]" if option.bare else option.metavar
        assert f" {f'--{option.name} {metavar}'.strip()} {help_}" in shown
        if option.default is None:
            assert "(required" in help_
        elif option.default and option.metavar:
            assert f"(default: {option.default}" in help_


@pytest.mark.parametrize("option", [param.values[1] for param in OPTIONS], ids=lambda option: option.name)
def test_help_of_an_option_names_the_variables_that_no_rule_gives(option: Option) -> None:
    rule = "TRIOWORKER_" + option.name.upper().replace("-", "_")
    named = re.findall(r"\b(?:TRIOWORKER|IRONCLAW)_\w+", options.help_of(option))
    assert named == [name for name in (option.variable, option.contract_variable) if name not in ("", rule)]


@pytest.mark.parametrize("command", TABLES)
def test_help_lists_no_other_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    listed = re.findall(r"^  (-[\w-]+)", help_text(command, capsys), re.MULTILINE)
    assert sorted(listed) == sorted(["-h", *(f"--{option.name}" for option in TABLES[command])])


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("command", TABLES)
def test_help_fits_the_terminal(command: str, columns: int, capsys: pytest.CaptureFixture[str]) -> None:
    usage, *lines = help_text(command, capsys, columns).splitlines()
    # A word of an example, such as a URL or a text in quotes, is never broken.
    text = lines[: lines.index("examples:")] if columns == 40 else [usage, *lines]
    assert [line for line in text if len(line) > min(columns, 100)] == []


def test_common_options_come_first_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    headings = re.findall(r"^([a-z ]+):$", help_text("local", capsys), re.MULTILINE)
    groups = ["limits", "requests to the model", "tools and sandbox", "observability"]
    assert headings == ["positional arguments", "options", *groups, "exit codes", "examples"]


@pytest.mark.parametrize("option", [param.values[1] for param in OPTIONS], ids=lambda option: option.name)
def test_help_text_is_a_phrase(option: Option) -> None:
    assert not option.help.endswith(".")
    assert option.help[0].islower() or option.help.startswith(("Unix", "URL"))


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_variable_sets_the_value_that_the_option_sets(command: str, option: Option) -> None:
    table, others, text = TABLES[command], required(command, but=option), value_of(option)
    given = options.resolve(table, {**others, option.key: text}, {})
    assert options.resolve(table, others, {option.variable: text}) == given
    if option.default is not None:
        assert options.resolve(table, others, {})[option.key] != given[option.key]


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_option_takes_precedence_over_its_variables(command: str, option: Option) -> None:
    table, others = TABLES[command], required(command, but=option)
    given = {**others, option.key: value_of(option)}
    environ = {option.variable: "\0", **({option.contract_variable: "\0"} if option.contract_variable else {})}
    assert options.resolve(table, given, environ) == options.resolve(table, given, {})


@pytest.mark.parametrize("command", TABLES)
def test_names_of_a_subcommand_are_unique(command: str) -> None:
    names = [option.name for option in TABLES[command]]
    assert len(set(names)) == len(names)


def test_defaults_of_a_worker_are_those_of_its_configuration(tmp_path: Path) -> None:
    values = options.resolve(option_table.WORKER, {"job_id": JOB_ID, "workspace": str(tmp_path)}, {})
    config = WorkerConfig(job_id=JOB_ID, token="t", workspace=tmp_path)
    own = {name: value for name, value in values.items() if name in WorkerConfig.__struct_fields__}
    assert own == {name: getattr(config, name) for name in own}
    assert set(values) - set(own) == {
        "log_level",
        "log_format",
        "record",
        "instrument",
        "tool",
        "attachable",
        "on_sigterm",
    }


def test_defaults_of_a_worker_are_the_contracts() -> None:
    values = options.resolve(option_table.WORKER, {"job_id": JOB_ID}, {})
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


def test_switches_are_off_by_default() -> None:
    values = options.resolve(option_table.LOCAL, {"llm": "script:x"}, {})
    assert (values["json"], values["web"], values["virtual_time"]) == (False, False, False)


def test_log_of_local_does_not_repeat_the_events() -> None:
    assert options.resolve(option_table.LOCAL, {"llm": "script:x"}, {})["log_level"] == "warning"
    assert options.resolve(option_table.LOCAL, {"llm": "script:x", "log_level": "INFO"}, {})["log_level"] == "info"


@pytest.mark.parametrize("count", ["1", "500"])
def test_bounds_of_max_iterations_are_valid(count: str) -> None:
    values = options.resolve(option_table.WORKER, {"job_id": JOB_ID, "max_iterations": count}, {})
    assert values["max_iterations"] == int(count)


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
def test_bad_value_is_an_error_with_its_source_and_what_is_expected(key: str, text: str) -> None:
    table, name = option_table.WORKER, "--" + key.replace("_", "-")
    with pytest.raises(ConfigError) as caught:
        options.resolve(table, {"job_id": JOB_ID, key: text}, {})
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert " is not a" in message or " or " in message
    assert len(message) < 400
    with pytest.raises(ConfigError, match=f"TRIOWORKER_{key.upper()}: "):
        options.resolve(table, {"job_id": None if key == "job_id" else JOB_ID}, {f"TRIOWORKER_{key.upper()}": text})


def test_port_is_not_read_from_the_variable_of_a_kubernetes_service() -> None:
    environ = {"TRIOWORKER_PORT": "tcp://10.0.0.7:80"}
    assert options.resolve(option_table.ORCHESTRATOR, {}, environ)["port"] == 50051


def test_options_of_some_engines_name_them_in_their_help() -> None:
    named = {
        option.key: tuple(engines.split(", "))
        for option in option_table.FLEET
        if re.fullmatch(
            "(process|ray|kubernetes)(, (process|ray|kubernetes))*", engines := option.help.partition(":")[0]
        )
    }
    assert named == {**ENGINES, "dry_run": ("kubernetes",)}
