"""`scripts/docs` builds the site of the documentation without a warning."""

from __future__ import annotations

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(find_spec("mkdocstrings") is None, reason="the extra docs is not installed"),
]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [ROOT / "scripts" / "docs", "--site-dir", folder], capture_output=True, text=True, timeout=240, check=False
    )
    assert built.returncode == 0, built.stderr
    assert not re.search("warn|error", built.stdout + built.stderr, re.IGNORECASE)
    return folder


def test_arguments_and_errors_of_docstrings_are_tables(site: Path) -> None:
    assert "<p>seconds that the job may take" in (site / "reference" / "jobs" / "index.html").read_text()
    for page in (site / "reference").rglob("*.html"):
        assert not re.search("<p>(Args|Raises|Attributes|Returns|Yields):", page.read_text()), page


def test_readme_is_the_start_and_links_to_pages(site: Path) -> None:
    start = (site / "index.html").read_text()
    assert 'href="troubleshooting/"' in start
    assert 'href="contributing/"' in start
    assert not re.search(r'(href|src)="[^":]*(docs/|\.md")', start)


def test_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not re.search(r'<(script|link|img)\b[^>]*(src|href)="https?:', page.read_text()), page
