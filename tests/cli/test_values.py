"""Parsers of option values: what they accept, and what they say about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from trioworker.cli import values
from trioworker.protocol import values as contract_values

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
    with pytest.raises(ValueError, match=r"^a number of seconds over 0$"):
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
        parse("A")


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
