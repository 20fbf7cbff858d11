"""axe-core finds no barrier in any state of the page, in light and dark, on a screen and on a phone."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver.common.by import By

from integration.web import scenes
from integration.web.browser import Worker
from orchestrator.serving import ADMIN_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.web.browser import Browser

pytestmark = pytest.mark.integration

AXE = "axe-core@4.10.3"
NPM_TIMEOUT = 60.0
RUN = "axe.run(document, {resultTypes: ['violations']}).then(result => done(result.violations))"
LONG = "A title with a_very_long_word_" + "x" * 60


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, from npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is missing: it fetches axe-core")
    folder = tmp_path_factory.mktemp("axe")
    try:
        subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), AXE],
            check=True,
            capture_output=True,
            text=True,
            timeout=NPM_TIMEOUT,
        )
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"npm can't fetch {AXE}: {error}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


def busy(url: str) -> Worker:
    """A job with everything that can be long or odd."""
    worker = Worker(url, title=LONG, description="a " * 400)
    worker.begin()
    worker.say(
        "# A heading\n\nLook at `code`, a [link](https://example.com) and\n\n> a quotation\n\n```\n"
        + "long " * 80
        + "\n```"
    )
    worker.say("| a | b |\n|---|---|\n| " + "w" * 200 + " | 2 |", role="user")
    worker.call("shell", '{"command": "' + "x" * 300 + '"}', "y" * 500)
    worker.call("write_file", '{"path": "' + "p" * 200 + '"}', "ok", diff=scenes.DIFF + "\n+" + "z" * 300)
    worker.call("shell", '{"timeout": 5}', "no\n" * 50, success=False)
    worker.event("status", message="z" * 300)
    worker.send("queued " * 60)
    worker.use("shell", command="sleep 60")
    return worker


SCENES: list[Callable[[str], Worker]] = [
    scenes.waiting,
    scenes.running,
    scenes.ended,
    scenes.failed,
    scenes.stopped,
    busy,
]


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_no_state_of_a_job_has_a_barrier(browser: Browser, url: str, axe: str, width: int, dark: bool) -> None:
    browser.resize(width, 844)
    browser.dark(on=dark)
    for scene in SCENES:
        worker = scene(url)
        browser.go("about:blank")
        browser.go(worker.page)
        browser.until("the job", lambda: browser.text("#state") and browser.text("#connection"))
        browser.open_all()
        name = f"{scene.__name__} {width} {dark}"
        ground = browser.script("return getComputedStyle(document.body).backgroundColor")
        assert (int(ground[4:].split(",")[0]) < 60) == dark
        assert browser.script("return document.documentElement.scrollWidth") <= width, name
        assert browser.script("const l = document.getElementById('log'); return l.scrollWidth - l.clientWidth") <= 0, (
            name
        )
        check(browser, axe, name)


def test_dialogs_the_list_on_a_phone_and_pages_without_a_job_have_no_barrier(
    browser: Browser, url: str, axe: str
) -> None:
    worker = scenes.running(url)
    browser.go(worker.page)
    browser.until_text("Running shell", "#now")
    for button in ("help-open", "stop"):
        browser.one(f"#{button}").click()
        check(browser, axe, button)
        browser.one("dialog[open] button:not(.danger)").click()
    browser.script("location.hash = arguments[0]", f"#{uuid.uuid4()}")
    browser.until("unknown", lambda: browser.one("#empty-unknown").is_displayed())
    check(browser, axe, "unknown")
    browser.script("document.getElementById('gone').hidden = false")
    check(browser, axe, "server gone")
    browser.resize(390, 844)
    browser.go("about:blank")
    browser.go(f"{url}/?token={ADMIN_TOKEN}")
    browser.until("the list", lambda: browser.driver.find_element(By.ID, "jobs-panel").is_displayed())
    check(browser, axe, "list on a phone")


def test_new_events_are_announced_and_earlier_ones_are_not(browser: Browser, url: str) -> None:
    worker = scenes.running(url)
    browser.go(worker.page)
    browser.until("new events announced", lambda: browser.one("#live").get_attribute("aria-live") == "polite")
    assert browser.one(".how[data-how=running]").get_attribute("aria-live") == "off"
    assert browser.script("return document.documentElement.lang") == "en"
    assert len([heading for heading in browser.all("h1") if heading.is_displayed()]) == 1


def check(browser: Browser, axe: str, name: str) -> None:
    """Fail with what axe-core finds."""
    browser.script(axe)
    found: list[dict[str, Any]] = browser.wait_for(RUN)
    assert [(v["id"], [node["html"][:120] for node in v["nodes"][:3]]) for v in found] == [], name
