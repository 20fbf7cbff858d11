"""README keeps its word: the two commands are there, and its exit codes are those of `--help`."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from support.program import ran
from trioworker.cli.exit_codes import EXIT_CODES

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("script", ["scripts/try", "scripts/test"])
def test_the_two_commands_are_named_and_can_be_run(script: str) -> None:
    first_block = README.split("```")[1]
    assert re.search(rf"^{script}\b", first_block, re.MULTILINE)
    assert os.access(ROOT / script, os.X_OK)


def test_readme_is_short() -> None:
    assert len(README.splitlines()) < 120


async def test_help_has_the_exit_codes() -> None:
    assert EXIT_CODES.strip() in (await ran("--help")).out
