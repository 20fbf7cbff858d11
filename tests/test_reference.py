"""The Python reference has each public name once."""

from __future__ import annotations

import re
from pathlib import Path

import trioworker
from trioworker import cassette, testing

PAGES = Path(__file__).parents[1] / "docs" / "reference"


def test_each_public_name_is_in_the_reference_once() -> None:
    public = [f"{module.__name__}.{name}" for module in (trioworker, cassette, testing) for name in module.__all__]
    described = [name for page in PAGES.glob("*.md") for name in re.findall(r"^::: (\S+)$", page.read_text(), re.M)]
    of_public_modules = [name for name in described if re.fullmatch(r"trioworker(\.cassette|\.testing)?\.\w+", name)]
    assert sorted(of_public_modules) == sorted(public)
