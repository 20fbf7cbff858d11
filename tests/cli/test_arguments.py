"""Misspelled commands and options: one line with a suggestion."""

from __future__ import annotations

import os

import pytest

from trioworker.cli.arguments import checked
from trioworker.cli.main import main
from trioworker.cli.parser import parse
from trioworker.errors import ConfigError

TYPOS = [
    ("lcoal x", "'lcoal' is not a command; did you mean trioworker local?"),
    ("Worker", "'Worker' is not a command; did you mean trioworker worker?"),
    ("orchestrater --port 1", "'orchestrater' is not a command; did you mean trioworker orchestrator?"),
    ("help lcoal", "'lcoal' is not a command; did you mean trioworker local?"),
    ("dance", "'dance' is not a command; see trioworker --help"),
    ("--verison", "unknown option --verison; did you mean --version?"),
    ("local x --workspce DIR", "unknown option --workspce; did you mean --workspace?"),
    ("local x --workspce=DIR", "unknown option --workspce; did you mean --workspace?"),
    ("local x --LLM y", "unknown option --LLM; did you mean --llm?"),
    ("local x --max_iterations 3", "unknown option --max_iterations; did you mean --max-iterations?"),
    ("local x -workspace DIR", "unknown option -workspace; did you mean --workspace?"),
    ("local -help", "unknown option -help; did you mean --help?"),
    ("local x --work DIR", "unknown option --work; did you mean --workspace?"),
    ("local x --qqq", "unknown option --qqq; see trioworker local --help"),
    ("fleet --enigne ray", "unknown option --enigne; did you mean --engine?"),
    ("local x --json=on", "--json takes no value; see trioworker local --help"),
    ("local x --llm --json", "--llm needs a value; see trioworker local --help"),
    ("fleet jobs.jsonl more", "unexpected argument 'more'; see trioworker fleet --help"),
    ("worker --jobid 7", "unknown option --jobid; did you mean --job-id?"),
]


@pytest.mark.parametrize(("line", "message"), TYPOS)
def test_typo_is_one_line_with_a_suggestion(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    assert capsys.readouterr() == ("", f"trioworker: {message}\n")


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["Fix it"], 'trioworker local "Fix it"'),
        (["Fix", "the", "bug", "--llm", "x"], 'trioworker local "Fix the bug"'),
        (['Fix "it" for $5'], "trioworker local 'Fix \"it\" for $5'"),
        (["Fix it. " * 50], 'trioworker local "Fix it. Fix it. Fix it. Fix it. Fix it. Fix it. Fix it. Fix…"'),
    ],
)
def test_task_without_a_command_is_shown_with_the_command(arguments: list[str], command: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked(arguments)
    assert str(caught.value).endswith(f" is not a command; to run a task: {command}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["local", "-"],
        ["local", "- a list\n- of items"],
        ["local", "--fix=all of it"],
        ["local", "x", "--timeout", "-3"],
        ["local", "--", "--not-an-option"],
        ["local", "x", "--title=--y"],
        ["local", "-h"],
        ["--version"],
    ],
)
def test_text_that_starts_with_a_dash_is_no_option(arguments: list[str]) -> None:
    assert checked(arguments) == arguments


def test_help_is_a_command_too() -> None:
    assert checked(["help"]) == ["--help"]
    assert checked(["help", "local"]) == ["local", "--help"]


def test_words_between_options_belong_to_the_text() -> None:
    parsed = parse(["local", "Fix", "the", "--json", "bug", "--llm", "script:x", "now"])
    assert parsed.words == ["Fix", "the", "bug", "now"]
    assert parsed.llm == "script:x"


@pytest.mark.parametrize("arguments", [["--", "--x"], ["--json", "--", "--x"], ["--llm", "y", "--", "--x"]])
def test_text_after_two_dashes_may_look_like_an_option(arguments: list[str]) -> None:
    assert parse(checked(["local", *arguments])).words == ["--x"]


def test_options_of_a_list_add_up() -> None:
    parsed = parse(["local", "x", "--tool", "a:B", "--tool=c:D,e:F", "--timeout", "1", "--timeout", "2"])
    assert parsed.tool == ["a:B", "c:D,e:F"]
    assert parsed.timeout == "2"


def test_without_arguments_a_short_help_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "\n  local         run a job here" in err
    assert '\n  trioworker local "Make the tests pass." --llm ' in err
    assert len(err.splitlines()) < 20


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("TRIOWORKER_", "IRONCLAW_")):
            monkeypatch.delenv(name)
