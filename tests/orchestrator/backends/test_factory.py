"""The choice of a backend by `--llm`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trioworker.errors import ConfigError
from trioworker.orchestrator.backends.factory import DEFAULT_BASE_URL, open_backend
from trioworker.orchestrator.backends.openai import OpenAIBackend

PAGE = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
KEY = "sk-test-0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def server(spec: str, *, api_key_variable: str | None = None) -> OpenAIBackend:
    opened = open_backend(spec, "m", api_key_variable=api_key_variable)
    assert isinstance(opened, OpenAIBackend)
    return opened


@pytest.mark.parametrize(
    "spec",
    ["", "script", "script:", "gpt:4", "openai:", "openai:localhost", "openai:ftp://x", "openai:http://[x", "OpenAI"],
)
def test_an_invalid_spec_is_refused_in_one_line(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"--llm .*; use [^\n]+\Z"):
        open_backend(spec)


@pytest.mark.parametrize(
    ("spec", "remedy"),
    [
        ("http://127.0.0.1:8000/v1", "use openai:http://127.0.0.1:8000/v1"),
        ("turns.yaml", "use script:turns.yaml"),
        ("opneai:http://127.0.0.1/v1", "use openai:http://127.0.0.1/v1"),
        ("openai:127.0.0.1:8000/v1", "use openai:http://127.0.0.1:8000/v1"),
        ("openai:gpt-4o", "use openai:https://HOST/v1, or --llm openai --model gpt-4o for a model of OpenAI"),
        ("openai:https://h.test/v1?key=1", "use openai:https://HOST/v1"),
        ("gpt-4o", "use script:FILE, openai or openai:BASE_URL"),
    ],
)
def test_a_near_spec_is_refused_with_what_is_meant(spec: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_backend(spec)
    assert str(caught.value).endswith(f"; {remedy}")


def test_openai_without_a_url_uses_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1/")
    opened = server("openai")
    assert (opened.url, opened.url_source, opened.model) == ("http://127.0.0.1:8000/v1", "OPENAI_BASE_URL", "m")


def test_openai_with_a_url_ignores_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1/")
    opened = server("openai:http://h.test/v1")
    assert (opened.url, opened.url_source) == ("http://h.test/v1", "--llm")


@pytest.mark.parametrize("spec", sorted(set(re.findall(r"--llm (openai\S*)", PAGE))))
def test_the_specs_of_the_page_are_valid(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert server(spec).url.endswith("/v1")


@pytest.mark.parametrize("variable", [None, ""])
def test_openai_without_the_variable_is_openais_server(variable: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    if variable is not None:
        monkeypatch.setenv("OPENAI_BASE_URL", variable)
    assert server("openai").url == DEFAULT_BASE_URL


def test_openais_server_without_a_key_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\A--llm openai: OPENAI_API_KEY is not set; set it to a key of OpenAI, or"):
        open_backend("openai")


def test_an_invalid_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "localhost:8000")
    with pytest.raises(ConfigError) as caught:
        open_backend("openai")
    assert str(caught.value) == "OPENAI_BASE_URL localhost:8000: not a URL; use http://localhost:8000"


def test_the_key_is_in_the_named_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", f" {KEY}\n")
    opened = server("openai:http://h.test/v1", api_key_variable="GROQ_API_KEY")
    assert opened.key_variable == "GROQ_API_KEY"
    assert server("openai:http://h.test/v1").key_variable == "OPENAI_API_KEY"


@pytest.mark.parametrize("value", [None, "", " "])
def test_a_named_variable_that_is_not_set_is_refused(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    if value is not None:
        monkeypatch.setenv("GROK_API_KEY", value)
    with pytest.raises(
        ConfigError, match=r"\A--api-key-env: the variable GROK_API_KEY is not set.*; set it to the API"
    ):
        open_backend("openai:http://h.test/v1", api_key_variable="GROK_API_KEY")


def test_a_near_variable_is_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    with pytest.raises(ConfigError, match=r"\(did you mean GROQ_API_KEY\?\)"):
        open_backend("openai:http://h.test/v1", api_key_variable="GROQ_APIKEY")


@pytest.mark.parametrize("key", [KEY, "gsk_0123456789abcdef0123456789abcdef", "A" * 80, "a b"])
def test_a_key_in_place_of_a_name_is_not_quoted(key: str) -> None:
    with pytest.raises(ConfigError, match=r"give the name of the variable, not the key") as caught:
        open_backend("openai:http://h.test/v1", api_key_variable=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-\nsecret", "sk-é-secret"])
def test_a_key_that_a_header_cannot_contain_is_refused_unquoted(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(
        ConfigError, match=r"\AOPENAI_API_KEY is not a token of printable ASCII characters; correct"
    ) as c:
        open_backend("openai:http://h.test/v1")
    assert "secret" not in str(c.value)


def test_a_script_ignores_the_named_variable(tmp_path: Path) -> None:
    (script := tmp_path / "turns.yaml").write_text("- content: hi\n")
    open_backend(f"script:{script}", api_key_variable="NOT_SET")
