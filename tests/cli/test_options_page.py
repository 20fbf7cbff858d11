"""docs/options.md is made from the table of options."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING

from trioworker.cli.commands import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/options.md").read_text()
MAX_COLUMNS = 140


def test_page_is_up_to_date() -> None:
    page: Callable[[], str] = runpy.run_path(str(ROOT / "scripts/options_page.py"))["page"]
    assert page() == PAGE, "docs/options.md differs from the table of options; run scripts/options-page"


def test_page_has_every_option_with_its_default() -> None:
    rows = re.findall(r"^\| `--([\w-]+).*?` \| `?(.*?)`? \|", PAGE, re.MULTILINE)
    for command in COMMANDS.values():
        for option in command.options:
            default = "required" if option.default is None else option.default or option.default_help
            assert (option.name, default) in rows


def test_lines_have_at_most_140_characters() -> None:
    assert [line for line in PAGE.splitlines() if len(line) > MAX_COLUMNS] == []
