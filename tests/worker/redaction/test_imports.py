"""Importing the modules with many patterns compiles none of them: a worker's start must stay fast."""

from __future__ import annotations

import subprocess
import sys

import pytest

# The libraries' own patterns are compiled first. `re` caches every pattern that it compiles.
PROGRAM = """
import importlib, re, sys
import email.utils, msgspec, trio, trioworker.worker.state.records
re.purge()
importlib.import_module(sys.argv[1])
print([pattern for _, pattern, _ in re._cache])
"""


@pytest.mark.parametrize(
    "module",
    [
        "trioworker.protocol.text",
        "trioworker.worker.llm.call_markup",
        "trioworker.worker.llm.interpretation",
        "trioworker.worker.redaction.injection",
        "trioworker.worker.redaction.safety_layer",
        "trioworker.worker.redaction.secrets",
    ],
)
def test_import_compiles_no_pattern(module: str) -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM, module], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
