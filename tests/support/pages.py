"""The README and the pages of `docs/`, and the code in them.

A block's first line may name its file: `# word_count.py`. A block that isn't meant to run as it is has a comment
before it: `<!-- fragment: why -->`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"(?:^<!-- fragment: (?P<why>.+) -->\n+)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A block of code on a page. `fragment` says why it doesn't run as it is; empty if it does."""

    language: str
    code: str
    fragment: str

    @property
    def file(self) -> str:
        """The name of its file, empty if it has none."""
        named = re.match(r"# (\w+\.\w+)\b", self.code)
        return named[1] if named else ""


def blocks(page: Path, language: str) -> list[Block]:
    """The blocks of a page in this language, in order."""
    found = [Block(block["language"], block["code"], block["why"] or "") for block in _BLOCK.finditer(page.read_text())]
    return [block for block in found if block.language == language]


def write_files(page: Path, folder: Path) -> list[str]:
    """Write the Python files of a page to a folder. Returns their names, in order."""
    named = [block for block in blocks(page, "python") if not block.fragment]
    for block in named:
        (folder / block.file).write_text(block.code)
    return [block.file for block in named]


def run_python(folder: Path, *arguments: str) -> str:
    """Run Python in a folder, and return its output. It has to exit with 0."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def run_pytest(folder: Path) -> str:
    """Run the tests of a folder, without our settings, and return the output. All have to pass."""
    plugins = ("-p", "pytest_trio.plugin", "-p", "no:cacheprovider")
    return run_python(folder, "-m", "pytest", "-q", *plugins, "-c", os.devnull, "--rootdir", str(folder), str(folder))
