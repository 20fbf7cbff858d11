"""Reading lists of models, and names near one that isn't listed."""

from __future__ import annotations

import time

import msgspec
import pytest

from trioworker.orchestrator.backends.model_list import (
    MAX_MODELS,
    MAX_NAME,
    NEAR_MODELS,
    choice,
    is_listed,
    near_names,
    read_names,
)


@pytest.mark.parametrize(
    "listed",
    [
        {"data": [{"id": "a"}, {"id": "b"}, {"id": "a"}]},
        {"data": [{"id": "a", "name": "A"}, None, 7, {"id": 7}, {}, {"id": "b"}], "object": "list"},
        {"models": [{"name": "a"}, {"name": "b"}]},
        [{"id": "a"}, {"id": "b"}],
        ["a", "b"],
    ],
)
def test_lists_of_all_kinds_are_read(listed: object) -> None:
    assert read_names(msgspec.json.encode(listed)) == ("a", "b")


@pytest.mark.parametrize("body", [b"", b"<html>", b"7", b"null", b'{"data": null}', b'{"error": "x"}', b"[" * 100_000])
def test_anything_else_is_not_a_list(body: bytes) -> None:
    assert read_names(body) is None


def test_a_huge_list_is_bounded_and_compared_in_time() -> None:
    models = [f"provider-{number % 97}/some-model-of-a-long-name-{number}" for number in range(100_000)]
    names = read_names(msgspec.json.encode({"data": [{"id": name} for name in ["x" * (MAX_NAME + 1), *models]]}))
    assert names is not None
    assert len(names) == MAX_MODELS - 1
    start = time.perf_counter()
    assert len(near_names("some-modle-of-a-long-name-44", names)) == NEAR_MODELS
    assert time.perf_counter() - start < 2
    assert len(choice(names)) < 6 * MAX_NAME


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("llama3.2", "llama3.2:latest"),
        ("llama3.2:latest", "llama3.2"),
        ("gemini-2.5-flash", "models/gemini-2.5-flash"),
        ("openai/gpt-4o", "openai/*"),
        ("m", "m"),
    ],
)
def test_names_that_a_server_accepts_are_listed(model: str, name: str) -> None:
    assert is_listed(model, ("other", name))


@pytest.mark.parametrize("model", ["llama3.2", "llama3", "LLAMA3.2:1b", "anthropic/claude"])
def test_other_names_are_not_listed(model: str) -> None:
    assert not is_listed(model, ("llama3.2:1b", "openai/*", "[a-z]*"))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4-o", ["gpt-4o", "gpt-4o-mini"]),
        ("GPT-4o", ["gpt-4o", "gpt-4o-mini"]),
        ("sonnet", ["anthropic/claude-sonnet-4.5"]),
        ("claude-sonet-4.5", ["anthropic/claude-sonnet-4.5"]),
        ("openai/claude-sonnet-4.5", ["anthropic/claude-sonnet-4.5"]),
        ("zzz", []),
    ],
)
def test_near_names_contain_the_model_or_are_similar(model: str, expected: list[str]) -> None:
    assert near_names(model, ("gpt-4o-mini", "gpt-4o", "anthropic/claude-sonnet-4.5")) == expected
