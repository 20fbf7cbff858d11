"""A hook of MkDocs: the site's pages that are not in docs/, and links to files that are no pages.

The README is the site's start. The pages keep the links that work in a checkout; here they lead to pages, and a link
to another file becomes its text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the root, and the pages that they become."""
DOCS = "docs/"

CODE = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """Adapt the links outside code blocks."""
    parts = CODE.split(markdown)
    return "".join(part if CODE.match(part) else _with_links(part, page.file.src_uri, files) for part in parts)


def _with_links(text: str, page: str, files: Files) -> str:
    sources = {target: source for source, target in PAGES.items()}
    folder = posixpath.dirname(sources.get(page, DOCS + page))

    def replace(link: re.Match[str]) -> str:
        image, label, target, anchor = link.groups(default="")
        if ":" in target:
            return link[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        uri = PAGES.get(path, path.removeprefix(DOCS))
        if files.get_file_from_path(uri) is None:
            # A missing page stays a link, which the build reports.
            return link[0] if path.startswith(DOCS) else label
        return f"{image}[{label}]({posixpath.relpath(uri, posixpath.dirname(page) or '.')}{anchor})"

    return LINK.sub(replace, text)
