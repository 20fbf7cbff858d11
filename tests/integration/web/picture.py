"""Takes the pictures of the page in docs/: `python -m integration.web.picture [FOLDER]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from integration.web import scenes
from integration.web.browser import ADMIN, Worker, chromium, program

if TYPE_CHECKING:
    from integration.web.browser import Browser

WIDE = (1180, 800)
NARROW = (390, 844)


def main(folder: str = "docs") -> None:
    Worker.pace = 0.4
    with tempfile.TemporaryDirectory() as temporary, chromium() as browser:
        model = scenes.write_model(Path(temporary))
        with program("orchestrator", "--port", "0", "--llm", model, environment=ADMIN) as running:
            take_all(browser, running.wait_for(r"listening on (http://\S+)"), Path(folder))


def take_all(browser: Browser, url: str, folder: Path) -> None:
    """Take each picture. All jobs exist, so each one shows the list."""
    for scene in (scenes.failed, scenes.stopped):
        scene(url)
    waiting, ended, running = scenes.waiting(url), scenes.ended(url), scenes.running(url)

    browser.resize(*WIDE)
    browser.go(waiting.page)
    browser.until_text("Waiting for a worker")
    browser.picture(folder / "page-list.png")
    browser.go(running.page)
    browser.until_text("Running shell", "#now")
    browser.picture(folder / "page-running.png")
    browser.go(ended.page)
    browser.until_state("completed")
    browser.until("the list", lambda: len(browser.all("#jobs li")) >= 5)
    browser.picture(folder / "page.png")
    to_diff = "document.querySelector('.diff').closest('li').scrollIntoView({block: 'center'})"
    browser.script(to_diff)
    browser.picture(folder / "page-ended.png")
    browser.dark(on=True)
    browser.picture(folder / "page-dark.png")
    browser.dark(on=False)
    browser.resize(*NARROW)
    browser.script(to_diff)
    browser.picture(folder / "page-phone.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
