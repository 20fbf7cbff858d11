"""The page of threats names a test for each threat; each of these tests must exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "threats.md").read_text()
SCREEN = 60
"""Maximum number of lines of the page: nobody reads a longer one."""


def test_each_test_that_the_page_names_exists() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^(?:async )?def (test_\w+)", sources, re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named
    assert named - defined == set()


def test_each_threat_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|")][2:]
    assert rows
    assert [row for row in rows if "`test_" not in row] == []


def test_page_fits_one_screen() -> None:
    assert len(PAGE.splitlines()) <= SCREEN
