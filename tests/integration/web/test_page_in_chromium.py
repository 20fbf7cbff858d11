"""The page in a real Chromium: watching and stopping a job, follow-ups, reloads, and hostile text."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.keys import Keys

from integration.web.browser import (
    ADMIN,
    Browser,
    Worker,
    local,
    program,
    prompts_fetched,
    shell,
)
from orchestrator.serving import ADMIN_TOKEN
from orchestrator.web.test_markdown import HOSTILE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

BOTTOM = "const l = document.getElementById('log'); return l.scrollHeight - l.scrollTop - l.clientHeight < 60"
"""Whether the end of the log is in view."""
HOLD_FRAMES = """
const real = window.requestAnimationFrame, held = new Map();
let last = 0;
window.requestAnimationFrame = callback => (held.set(++last, callback), last);
window.cancelAnimationFrame = id => held.delete(id);
window.release = () => { window.requestAnimationFrame = real; for (const callback of held.values()) callback() };
"""
"""Hold back what the page does in its next frame, until `release()`."""


def test_a_job_is_shown_live_takes_a_follow_up_and_the_page_remains_until_ctrl_c(
    browser: Browser, workspace: Path
) -> None:
    wait = "while [ ! -e go ]; do sleep 0.1; done; echo went"
    turns = [
        shell(wait, "I **wait** for you."),
        {"content": "The job is complete. You said so.", "expect": "Now, please"},
    ]
    with program(*local(workspace, turns)) as running:
        page = running.wait_for(r"watch the job at (http://\S+)")
        browser.go(page)
        browser.until_text("wait", ".message strong")
        browser.until_state("in_progress")
        browser.until("a running call", lambda: browser.all(".call .how[data-how=running]"))
        box = browser.one("#say")
        box.send_keys("Now,", Keys.SHIFT, Keys.ENTER, Keys.NULL, "please")
        assert box.get_property("value") == "Now,\nplease"
        box.clear()
        box.send_keys("Now, please", Keys.ENTER)
        browser.until_text("Sent", "#say-note")
        # The worker must have the follow-up before the next model request: one poll has started after it was sent.
        polls = prompts_fetched(page)
        browser.until("two more polls", lambda: prompts_fetched(page) >= polls + 2)
        browser.until_text("Running shell", "#now")
        browser.one("#timeline summary").click()
        browser.one("#timeline-all").click()
        browser.until("the timeline of the trace", lambda: browser.all("#timeline-picture .span.actor"))
        (workspace / "go").touch()
        browser.until_state("completed")
        browser.until_text("You said so.")
        assert "Now, please" in browser.text("#events .message.user")
        assert re.search(r"sent \d\d:\d\d:\d\d, read \d\d:\d\d:\d\d", browser.text("#events .message.user"))
        assert "The job is complete. You said so." in browser.text("#answer")
        browser.one(".call summary").click()
        browser.until("the output", lambda: "went" in browser.text(".call"))
        assert not browser.one("#follow-up").is_displayed()
        assert browser.text("#facts").startswith("modelturns.json (script)")
        browser.until("tools in the timeline", lambda: browser.all("#timeline-picture .span.tool"))

        running.wait_for(r"(until Ctrl-C)")
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(60) == 0


def test_a_job_is_stopped_after_confirmation(browser: Browser, workspace: Path) -> None:
    with program(*local(workspace, [shell("sleep 500", "I sleep.")])) as running:
        browser.go(running.wait_for(r"watch the job at (http://\S+)"))
        browser.until("a running call", lambda: browser.all(".call .how[data-how=running]"))
        browser.one("#stop").click()
        browser.one("#stop-no").click()
        browser.until_state("in_progress")
        browser.one("#stop").click()
        browser.one("#stop-yes").click()
        browser.until_state("cancelled")
        assert "Stopped" in browser.text("#answer h3")
        running.wait_for(r"(until Ctrl-C)")
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(60) == 4


def test_a_reload_neither_loses_nor_repeats_events(browser: Browser, url: str) -> None:
    worker = Worker(url)
    browser.go(worker.page)
    for number in range(40):
        worker.say(f"message {number}")
    browser.until_text("message 20")
    browser.driver.refresh()
    for number in range(40, 60):
        worker.call("shell", '{"command": "ls"}', f"listed {number}")
    browser.until("all events", lambda: len(browser.numbers()) == 80)
    worker.complete()
    browser.until_state("completed")

    assert browser.numbers() == sorted(browser.numbers())
    assert browser.numbers() == list(range(1, 40 + 40 + 2))


def test_a_lost_connection_is_shown_and_resumed(browser: Browser, tmp_path: Path) -> None:
    database = ("--database", str(tmp_path / "jobs.db"))
    with program("orchestrator", "--port", "0", *database, environment=ADMIN) as running:
        url = running.wait_for(r"listening on (http://\S+)")
        worker = Worker(url)
        worker.say("before")
        browser.go(worker.page)
        browser.until_text("before", "#events")
    browser.until_text("reconnecting…", "#connection")
    browser.until("the notice", lambda: browser.one("#gone").is_displayed())
    assert re.search(r"since \d\d:\d\d:\d\d", browser.text("#gone"))
    with program("orchestrator", "--port", url.rsplit(":", 1)[1], *database, environment=ADMIN) as running:
        running.wait_for(r"listening on (http://\S+)")
        worker.say("after")
        browser.until_text("after", "#events")
        browser.until_text("live", "#connection")
        assert not browser.one("#gone").is_displayed()
        assert browser.numbers() == [1, 2]


def test_a_page_without_a_valid_secret_says_where_to_find_it(browser: Browser, tmp_path: Path) -> None:
    database = ("--database", str(tmp_path / "jobs.db"))
    with program("orchestrator", "--port", "0", *database) as running:
        page = running.wait_for(r"jobs at (http://\S+)")
        url = page.partition("?")[0]
        browser.go(url)
        assert "use the URL with ?token=… that was printed on stderr" in browser.text()
        browser.go(page)
        browser.until_text("No jobs yet", "#jobs-panel")
        assert browser.one("#empty-none").is_displayed()
        assert browser.script("return location.href") == url
    with program("orchestrator", "--port", url.rstrip("/").rsplit(":", 1)[1], *database) as running:
        running.wait_for(r"jobs at (http://\S+)")
        browser.until("a refusal", lambda: browser.one("#refusal").is_displayed())


CONTROLS = "a\x1b[31m\x9b2J\u202egnp.exe\u2066\u2028\x07b"
ESCAPES = r"a\x1b[31m\x9b2J\u202egnp.exe\u2066\u2028\x07b"


def test_control_characters_are_shown_as_escapes(browser: Browser, url: str) -> None:
    worker = Worker(url, title=f"{CONTROLS}\nsecond", description=CONTROLS)
    worker.say(f"{CONTROLS} **{CONTROLS}** `{CONTROLS}`")
    worker.call(CONTROLS, json.dumps({"command": f"{CONTROLS}\nsecond"}), CONTROLS)
    worker.event("status", message=f"{CONTROLS}\nsecond")
    worker.event("result", success=False, status=CONTROLS, message=CONTROLS)
    browser.go(worker.page)
    browser.until("all events", lambda: len(browser.numbers()) == 5)
    browser.open_all()
    assert rf"{ESCAPES}\nsecond" in browser.text("#title")
    assert rf"{ESCAPES}\nsecond" in browser.script("return document.title")
    shown = browser.script("return document.body.textContent")
    assert shown.count(ESCAPES) >= 9
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2066\u2028]", shown)


def test_a_hostile_job_runs_no_script_and_the_page_never_contains_the_token(browser: Browser, url: str) -> None:
    worker = Worker(url, title="<img src=x onerror=window.hit=1>", description="</p><script>window.hit=1</script>")
    # The orchestrator refuses NUL.
    for hostile in (text.replace("\0", "") for text in HOSTILE):
        worker.say(hostile)
        worker.say(hostile, role="user")
        worker.call(hostile, hostile, hostile)
        worker.call(
            "write_file", "{}", "written", diff=f"--- {hostile}\n+++ {hostile}\n@@ -1 +1 @@\n-{hostile}\n+{hostile}"
        )
        worker.call("shell", json.dumps({"command": hostile}), hostile, success=False)
        worker.event("status", message=hostile)
        worker.event(f"<b>{hostile[:20]}", other=hostile)
    worker.event("result", success=False, status=HOSTILE[0], message=HOSTILE[1])
    browser.go(worker.page)
    browser.until("all events", lambda: len(browser.numbers()) == len(HOSTILE) * 10 + 1)
    browser.open_all()
    for link in browser.all("#events a"):
        if "when" in str(link.get_attribute("class")):
            continue
        assert str(link.get_attribute("href")).startswith(("http://", "https://", "mailto:"))
        assert set(str(link.get_attribute("rel")).split()) == {"noopener", "noreferrer", "nofollow"}

    assert browser.script("return window.hit") is None
    # Only the page's own script.
    kinds = "script, img, iframe, style, #events svg, base, object, form form, math"
    found = f"return document.querySelectorAll('{kinds}').length"
    assert browser.script(found) == 1
    assert (
        browser.script(
            "return [...document.querySelectorAll('*')].some(e => e.getAttributeNames().some(n => n.startsWith('on')))"
        )
        is False
    )
    assert HOSTILE[0] in browser.text("#events")
    assert worker.token not in browser.driver.page_source
    kept = "return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
    assert worker.token not in browser.script(kept)
    assert ADMIN_TOKEN not in browser.script(kept)
    assert ADMIN_TOKEN not in browser.driver.page_source
    # Not even the page's own script can create markup from text.
    refused = "try { document.body.innerHTML = '<b>'; return 'made' } catch (error) { return error.name }"
    assert browser.script(refused) == "TypeError"


@pytest.fixture
def long_job(browser: Browser, url: str) -> Worker:
    """A running job with more events than fit, whose page shows the last ones."""
    worker = Worker(url)
    for number in range(60):
        worker.say(f"message {number}")
    browser.go(worker.page)
    browser.until("the bottom", lambda: len(browser.numbers()) == 60 and browser.script(BOTTOM))
    return worker


def test_the_page_scrolls_with_new_events_unless_scrolled_up(browser: Browser, long_job: Worker) -> None:
    long_job.say("another")
    browser.until("the bottom of one more", lambda: len(browser.numbers()) == 61 and browser.script(BOTTOM))
    browser.script("document.getElementById('log').scrollTop = 0")
    long_job.say("one above which the page stays")
    browser.until("the button", lambda: browser.one("#to-bottom").is_displayed())
    assert browser.script("return document.getElementById('log').scrollTop") == 0
    browser.one("#to-bottom").click()
    browser.until("the bottom again", lambda: browser.script(BOTTOM))


def test_scrolling_up_just_after_an_event_has_come_shows_the_button(browser: Browser, long_job: Worker) -> None:
    browser.script(HOLD_FRAMES)
    long_job.say("another")
    browser.until("the event", lambda: len(browser.numbers()) == 61)
    browser.wait_for(
        "const log = document.getElementById('log'); log.addEventListener('scroll', done, {once: true});"
        "log.scrollTop = 0"
    )
    browser.script("window.release()")
    assert browser.one("#to-bottom").is_displayed()
    assert browser.script("return document.getElementById('log').scrollTop") == 0


def test_a_job_that_ends_just_after_an_event_has_come_shows_no_button(browser: Browser, long_job: Worker) -> None:
    browser.script(HOLD_FRAMES)
    long_job.complete()
    browser.until_state("completed")
    browser.script("window.release()")
    assert not browser.one("#to-bottom").is_displayed()
    assert browser.script("return document.getElementById('log').scrollTop") == 0


def test_scrolling_up_while_the_page_goes_to_the_end_is_kept(browser: Browser, long_job: Worker) -> None:
    browser.script("document.getElementById('log').scrollTop = 0")
    long_job.say("another")
    browser.until("the button", lambda: browser.one("#to-bottom").is_displayed())
    browser.wait_for(
        "document.getElementById('to-bottom').click(); document.getElementById('log').scrollTop = 0;"
        "let frames = 10; const next = () => frames-- > 0 ? requestAnimationFrame(next) : done(); next()"
    )
    assert browser.script("return document.getElementById('log').scrollTop") == 0


def test_keyboard_shortcuts_work(browser: Browser, url: str) -> None:
    first, second = Worker(url, title="The first"), Worker(url, title="The second")
    second.call("shell", "{}", "out")
    browser.go(first.page)
    browser.until_text("The first", "#title")
    browser.until("the list", lambda: browser.all("#jobs [aria-current]"))
    body = browser.one("body")
    body.send_keys("k")
    browser.until_text("The second", "#title")
    browser.until("the call", lambda: browser.all(".call"))
    body.send_keys("e")
    assert browser.one(".call pre").is_displayed()
    body.send_keys("f")
    browser.driver.switch_to.active_element.send_keys("jk says this", Keys.ENTER)
    browser.until_text("Sent", "#say-note")
    assert second.prompt() == "jk says this"
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert browser.script("return document.activeElement.id") == "log"
    browser.driver.switch_to.active_element.send_keys("?")
    assert browser.one("#help").is_displayed()
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not browser.one("#help").is_displayed()
    browser.driver.switch_to.active_element.send_keys("j")
    browser.until_text("The first", "#title")


def test_the_browser_console_is_empty(browser: Browser, url: str) -> None:
    worker = Worker(url)
    worker.say("hello")
    browser.driver.get_log("browser")
    browser.go(worker.page)
    browser.until_text("hello", "#events")
    worker.complete()
    browser.until_state("completed")
    assert browser.driver.get_log("browser") == []
