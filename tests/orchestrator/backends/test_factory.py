"""The choice of a backend by `--llm`."""

from __future__ import annotations

import pytest

from trioworker.errors import ConfigError
from trioworker.orchestrator.backends.factory import open_backend


@pytest.mark.parametrize(
    "spec", ["", "script", "script:", "gpt:4", "openai:", "openai:localhost", "openai:ftp://x", "openai:http://[x"]
)
def test_an_invalid_spec_is_refused_in_one_line(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"--llm .*; use [^\n]+\Z"):
        open_backend(spec)
