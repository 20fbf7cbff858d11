"""Parsers of option values: what they accept, and what they say about the rest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trioworker.cli import values
from trioworker.protocol import values as contract_values

if TYPE_CHECKING:
    from collections.abc import Callable

JOB_ID = "123e4567-e89b-12d3-a456-426614174000"


@pytest.mark.parametrize("text", [JOB_ID, JOB_ID.upper()])
def test_uuid_keeps_its_case(text: str) -> None:
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
def test_url_is_accepted_as_written(text: str) -> None:
    assert contract_values.http_url(text) == text


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("007", 7), ("500", 500)])
def test_whole_accepts_its_bounds_and_what_is_between(text: str, value: int) -> None:
    assert values.whole(1, 500)(text) == value


@pytest.mark.parametrize("text", ["0", "501", "-1", "+1", "1.0", "1e2", "", " 1", "x", "9" * 400])
def test_whole_refuses_anything_else(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a whole number from 1 to 500$"):
        values.whole(1, 500)(text)


@pytest.mark.parametrize(("text", "value"), [("590", 590.0), ("0.001", 0.001), ("1e3", 1000.0), ("604800", 604800.0)])
def test_seconds_accepts_up_to_a_week(text: str, value: float) -> None:
    assert values.seconds(text) == value


@pytest.mark.parametrize("text", ["0", "-1", "604801", "nan", "inf", "", "5s"])
def test_seconds_refuses_anything_else(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a number of seconds over 0, at most 604800$"):
        values.seconds(text)


@pytest.mark.parametrize(("text", "value"), [("0.5", 0.5), ("4", 4.0), ("0.001", 0.001)])
def test_cores_may_be_a_fraction(text: str, value: float) -> None:
    assert values.cores(text) == value


@pytest.mark.parametrize("text", ["0", "0.0", "-1", ".5", "1e3", "two", "0.0001"])
def test_cores_refuses_anything_else(text: str) -> None:
    with pytest.raises(ValueError, match="a number of processors over 0"):
        values.cores(text)


@pytest.mark.parametrize("text", ["1", "true", "Yes", "ON"])
def test_switch_accepts_each_spelling_of_on(text: str) -> None:
    assert values.switch(text) is True


@pytest.mark.parametrize("text", ["0", "false", "No", "OFF"])
def test_switch_accepts_each_spelling_of_off(text: str) -> None:
    assert values.switch(text) is False


@pytest.mark.parametrize("text", ["2", "enable", " "])
def test_switch_refuses_anything_else(text: str) -> None:
    with pytest.raises(ValueError, match=r"^on or off$"):
        values.switch(text)


@pytest.mark.parametrize(
    ("choices", "listed"),
    [(("a", "b"), "a or b"), (("a", "b", "c"), "a, b or c"), (("a", "b", "c", "d"), "a, b, c or d")],
)
def test_choices_are_listed_in_the_error(choices: tuple[str, ...], listed: str) -> None:
    parse = values.one_of(*choices)
    assert [parse(choice) for choice in choices] == [*choices]
    with pytest.raises(ValueError, match=f"^{listed}$"):
        parse("zzz")


def test_choice_in_capitals_is_understood() -> None:
    assert values.one_of("debug", "info")("INFO") == "info"


@pytest.mark.parametrize(
    ("text", "meant"), [("two_phase", "two-phase"), ("sinlge", "single"), ("k8s", "kubernetes"), ("K8S", "kubernetes")]
)
def test_misspelled_choice_gets_a_suggestion(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"; did you mean {meant}\\?$"):
        values.one_of("single", "two-phase", "kubernetes")(text)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (values.path, "~/a/b", "HOME/a/b"),
        (values.path, "~root/b", "/root/b"),
        (values.path, "a/~/b", "a/~/b"),
        (values.model_spec, "script:~/turns.yaml", "script:HOME/turns.yaml"),
        (values.model_spec, "replay:~/job.jsonl", "replay:HOME/job.jsonl"),
        (values.model_spec, "openai:http://host/~me/v1", "openai:http://host/~me/v1"),
        (values.model_spec, "openai", "openai"),
        (values.model_spec, "script:", "script:"),
        (values.socket_path, "~/health", "HOME/health"),
        (values.directory, "~", "HOME"),
        (values.existing_paths, "/etc:~", "/etc:HOME"),
    ],
)
def test_tilde_is_the_home_folder(
    parse: Callable[[str], object], text: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert str(parse(text)) == value.replace("HOME", str(tmp_path))


def test_tilde_of_an_unknown_user_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^a path, since ~nobody-such has no home folder; write \./~nobody-such for"):
        values.path("~nobody-such/x")


@pytest.mark.parametrize("text", ["mytools", ":Tool", "mytools:", "my tools:Tool", ",", "../mytools:Tool", "a:b:c"])
def test_tool_without_module_or_name_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"^MODULE:NAME, such as my_tools:WordCount$"):
        values.tool_specs(text)


def test_tools_are_separated_by_commas_and_can_be_passed_on() -> None:
    specs = values.tool_specs("a:B, c.d:E.f")
    assert specs == ("a:B", "c.d:E.f")
    assert values.tool_specs(str(specs)) == specs


def test_only_a_dash_means_standard_input() -> None:
    assert values.standard_input("-") is True
    with pytest.raises(ValueError, match=r"^-, for standard input$"):
        values.standard_input("yes")


def test_directory_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert values.directory(f"{tmp_path}/link/../link/.") == tmp_path / "real"


def test_directory_that_is_a_loop_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ValueError, match="a folder that exists"):
        values.directory(str(tmp_path / "loop"))


def test_existing_paths_are_resolved_and_can_be_passed_on(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    paths = values.existing_paths(f"{tmp_path}/link:/etc")
    assert paths == (tmp_path / "real", Path("/etc"))
    assert values.existing_paths(str(paths)) == paths


@pytest.mark.parametrize("text", ["/" + "x" * 106, "/" + "\u00e4" * 53])
def test_socket_path_accepts_up_to_107_bytes(text: str) -> None:
    assert values.socket_path(text) == Path(text)


@pytest.mark.parametrize("text", ["/" + "x" * 107, "/" + "\u00e4" * 54, "/a\0b"])
def test_socket_path_that_no_socket_can_have_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a path of at most 107 bytes, the limit of a Unix socket$"):
        values.socket_path(text)


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("1234.5", 1234.5)])
def test_time_of_the_monotonic_clock_is_seconds(text: str, value: float) -> None:
    assert values.monotonic_seconds(text) == value


@pytest.mark.parametrize("text", ["", "-1", "1e3", "inf", "nan", "x"])
def test_other_times_of_the_monotonic_clock_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"a number of seconds, such as 1234\.5"):
        values.monotonic_seconds(text)
