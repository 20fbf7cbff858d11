"""The pages are true: their code runs, their links and paths lead somewhere, their messages are ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.pages import ROOT, run_pytest, write_files
from trioworker.cli.exit_codes import EXIT_CODES

pytestmark = pytest.mark.integration

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
MAX_PAGE_LINES = 130
"""A page has one purpose; nobody reads a longer one."""


def run_tests(source: str, folder: Path) -> str:
    (folder / "test_shown.py").write_text(source)
    return run_pytest(folder)


def test_tool_of_the_page_counts_lines(tmp_path: Path) -> None:
    write_files(ROOT / "docs" / "tools.md", tmp_path)
    use = """
import os
import threading
from pathlib import Path
import pytest
from line_count import LineCount, LineCountParameters
from trioworker import ToolContext, ToolError
from trioworker.worker.tools.workspace import Workspace
from trioworker.worker.processes.processes import Processes

class SlowDisk(Workspace):
    def open_directory(self, path):
        assert threading.current_thread() is not threading.main_thread(), "this blocks the event loop"
        return super().open_directory(path)

@pytest.mark.trio
async def test_it_counts(tmp_path):
    (tmp_path / "a.txt").write_text("one\\ntwo\\n")
    with SlowDisk.open(tmp_path) as workspace:
        async with Processes() as processes:
            context = ToolContext(workspace=workspace, environment=dict(os.environ), processes=processes)
            assert await LineCount().run(LineCountParameters(files=["a.txt"]), context) == "2 a.txt\\n"
            with pytest.raises(ToolError, match="b.txt"):
                await LineCount().run(LineCountParameters(files=["b.txt"]), context)
"""
    assert "1 passed" in run_tests(use, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    assert [target for target in links if not (page.parent / target.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_named_on_a_page_exist(page: Path) -> None:
    named = re.findall(r"`((?:src|tests|scripts|docs)/[\w./-]+)", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_page_is_short(page: Path) -> None:
    # Nobody reads the table of options; it is searched.
    assert page.name == "options.md" or len(page.read_text().splitlines()) <= MAX_PAGE_LINES


def test_messages_on_the_troubleshooting_page_are_in_the_sources() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    quoted = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    # A message may be written over two lines of source.
    sources = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    ours = re.sub(r'"\s*\n\s*f?"', "", sources).replace("{response.status}", "401 answered 404")
    assert quoted
    assert [message for message in quoted if message not in ours] == []


def test_script_of_the_page_runs(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "scripts.md").read_text()
    (script,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (command,) = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "hello.yaml").write_text(script)
    ended = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "XDG_STATE_HOME": str(tmp_path.with_name("state")),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "hello.sh greets the person that its first argument names." in ended.stdout
    assert (tmp_path / "hello.sh").exists()


def test_troubleshooting_page_has_every_exit_code() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    headings = dict(re.findall(r"^## (\d): (.+)$", page, re.MULTILINE))
    ours = dict(re.findall(r"^  ([1-9])  (.+)$", EXIT_CODES, re.MULTILINE))
    assert headings == ours
