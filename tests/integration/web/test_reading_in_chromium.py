"""Reading a job on the page in a real Chromium: answer, changes, output, links, search, and the page's states."""

from __future__ import annotations

import json
import re
import sqlite3
import uuid
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.keys import Keys

from integration.web import scenes
from integration.web.browser import ADMIN, Browser, Worker, program
from orchestrator.serving import ADMIN_TOKEN
from trioworker.orchestrator.store import Store

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

LONG_JOB = 5000
"""Events of a long job: those of about 700 iterations."""


def test_an_ended_job_has_its_answer_on_top_and_changes_and_failures_in_view(browser: Browser, url: str) -> None:
    browser.go(scenes.ended(url).page)
    browser.until_state("completed")
    assert browser.text("#answer strong") == "upper of two middle values"
    assert browser.script("return document.getElementById('log').scrollTop") == 0
    assert not browser.one(".result .text").is_displayed()
    assert not browser.one("#timeline-picture").is_displayed()

    added = [line.text for line in browser.all(".line.add")]
    assert len(added) == 5
    assert all("+" in line for line in added)
    assert [line.text.split()[:2] for line in browser.all(".line.del")] == [["8", "-"], ["9", "-"]]
    assert "5 added, 2 removed" in browser.text(".counts")
    # The end of a long output is in view.
    assert browser.text(".how[data-how=bad]").startswith("exit code 1")
    output = browser.one(".call:has(.how[data-how=bad]) pre:not(.command)")
    assert output.text.endswith("FAILED (failures=2)\n[exit code 1]")
    assert "test_empty" not in output.text
    browser.one(".call .more").click()
    assert output.text.startswith("test_empty")


def test_facts_have_model_tokens_requests_and_wall_clock_times(browser: Browser, url: str) -> None:
    browser.go(scenes.ended(url).page)
    browser.until_state("completed")
    facts = browser.one("#facts").text.replace("\n", " ")
    assert "model demo.yaml (script)" in facts
    assert "requests 4" in facts
    assert "tokens 7,336 in, 508 out" in facts
    assert re.search(r"created \d\d:\d\d:\d\d", facts)
    time = browser.one("#events .when")
    assert re.fullmatch(r"\d\d:\d\d:\d\d", time.text)
    assert re.search(r"\d{4}.* after the first event", str(time.get_attribute("title")))


def test_each_copy_button_copies_its_whole_text(browser: Browser, url: str) -> None:
    browser.go(scenes.ended(url).page)
    browser.until_state("completed")
    browser.grant("clipboardReadWrite", "clipboardSanitizedWrite")
    command, output, diff = "python3 -m unittest -v", scenes.FAILED_TESTS, scenes.DIFF
    for what, text in (("answer", scenes.ANSWER), ("command", command), ("output", output), ("diff", diff)):
        button = browser.one(f'[aria-label="Copy {what}"]')
        browser.script("arguments[0].scrollIntoView({block: 'center'})", button)
        button.click()
        browser.until(f"the copied {what}", lambda button=button: button.text == "Copied")
        assert browser.wait_for("navigator.clipboard.readText().then(done)") == text, what


def test_what_runs_shows_its_time_and_follow_ups_are_queued_and_then_read(browser: Browser, url: str) -> None:
    worker = scenes.running(url)
    browser.go(worker.page)
    browser.until("some seconds", lambda: re.search(r"Running shell[1-9]", browser.text("#now")))
    assert re.fullmatch(r"running \d+ s", browser.text(".how[data-how=running]"))
    assert "queued" in browser.text("#follow-ups")
    assert re.search(r"sent \d\d:\d\d:\d\d, read \d\d:\d\d:\d\d", browser.text("#events .user"))

    content = worker.prompt()
    browser.until("it was read", lambda: re.search(r"read \d\d:\d\d:\d\d", browser.text("#follow-ups")))
    worker.say(content, role="user")
    browser.until("its event", lambda: len(browser.all("#events .user .read")) == 2)
    assert not browser.one("#follow-ups").is_displayed()
    worker.send("Too late.")
    worker.complete()
    browser.until_text("not read: the job ended before", "#follow-ups")
    assert not browser.one("#now").is_displayed()


def test_a_link_to_an_event_opens_and_highlights_it_and_back_returns(browser: Browser, url: str) -> None:
    ended, other = scenes.ended(url), scenes.failed(url)
    browser.go(ended.page)
    browser.until_state("completed")
    browser.one("#log").send_keys(Keys.HOME)
    target = browser.one("#events > li:nth-last-child(3)")
    link = target.find_element("css selector", ".when")
    browser.script("arguments[0].click()", link)
    browser.until("the highlight", lambda: "target" in target.get_attribute("class"))
    # Also by the number of a call's result, in a page that was just opened.
    number = target.get_attribute("data-answer")
    browser.go("about:blank")
    browser.go(f"{ended.page}/e{number}")
    browser.until("the event", lambda: browser.all(f'.target[data-answer="{number}"] .call[open]'))
    shown = "const b = arguments[0].getBoundingClientRect(); return b.top >= 0 && b.bottom <= innerHeight"
    browser.until("it is in view", lambda: browser.script(shown, browser.one(".target")))

    browser.until("the list", lambda: len(browser.all("#jobs li")) > 1)
    browser.one(f'#jobs a[href="#{other.id}"]').click()
    browser.until_state("failed")
    browser.driver.back()
    browser.until_state("completed")
    browser.until("the event again", lambda: browser.all(f'.target[data-answer="{number}"]'))


def test_a_job_is_searched_and_filtered(browser: Browser, url: str) -> None:
    browser.go(scenes.ended(url).page)
    browser.until_state("completed")

    def shown() -> int:
        return browser.script("return document.querySelectorAll('#events > li:not([hidden])').length")

    whole = shown()
    for kind, count in (("messages", 4), ("tools", 5), ("failures", 1), ("all", whole)):
        browser.one(f"#kinds label:has([value={kind}])").click()
        assert shown() == count, kind
    # The text is in the output of a call that isn't open.
    browser.one("#search").send_keys("Ran 4 TESTS")
    browser.until("one event", lambda: shown() == 1)
    assert "Ran 4 tests" in browser.one("#events > li:not([hidden]) pre:not(.command)").text
    browser.one("#search").send_keys(" nowhere")
    browser.until("no event", lambda: browser.one("#no-match").is_displayed())
    browser.one("#show-all").click()
    assert shown() == whole


def test_jobs_are_searched_and_filtered_by_state(browser: Browser, url: str) -> None:
    word = uuid.uuid4().hex
    done = Worker(url, "One", f"About {word}.")
    done.complete()
    waiting = Worker(url, "Two", f"About {word}, too.")
    browser.go(waiting.page)
    browser.one("#jobs-text").send_keys(word.upper())
    browser.until("two jobs", lambda: len(browser.all("#jobs li")) == 2)
    browser.one("#jobs-state").send_keys("Comp")
    browser.until("one job", lambda: [item.text for item in browser.all("#jobs .name")] == ["One"])
    browser.one("#jobs-text").send_keys("x")
    browser.until_text("No job matches.", "#jobs-none")


def test_the_download_link_is_of_the_shown_job(browser: Browser, url: str) -> None:
    worker = scenes.stopped(url)
    browser.go(worker.page)
    browser.until_state("cancelled")
    fetched = browser.wait_for("fetch(document.getElementById('download').href).then(r => r.json()).then(done)")
    assert fetched["job"]["id"] == worker.id
    assert len(fetched["events"]) == 1
    assert "The user stopped this job" in browser.text("#answer")


def test_waiting_and_unknown_jobs_say_what_to_do(browser: Browser, url: str) -> None:
    worker = scenes.waiting(url)
    browser.go(worker.page)
    browser.until_text(f"trioworker worker --job-id {worker.id}", "#waiting pre")
    assert f"--orchestrator-url {url} " in browser.text("#waiting pre")
    worker.begin()
    browser.until_state("in_progress")
    assert not browser.one("#waiting").is_displayed()
    assert "Waiting for the model" in browser.text("#now")
    for address in (f"#{uuid.uuid4()}", "#nonsense"):
        browser.script("location.hash = arguments[0]", address)
        browser.until("unknown", lambda: browser.one("#empty-unknown").is_displayed())
        assert not browser.one("#job").is_displayed()
        browser.driver.back()
        browser.until("the job again", lambda: browser.one("#job").is_displayed())


def test_on_a_phone_back_closes_the_list_of_jobs(browser: Browser, url: str) -> None:
    one, two = scenes.ended(url), scenes.failed(url)
    browser.resize(390, 844)
    browser.go(one.page)
    browser.until_state("completed")
    assert not browser.one("#jobs-panel").is_displayed()
    browser.one("#jobs-open").click()
    assert browser.one("#jobs-panel").is_displayed()
    browser.driver.back()
    browser.until("the job", lambda: browser.one("#answer").is_displayed())
    browser.one("#jobs-open").click()
    browser.until("the list", lambda: browser.all(f'#jobs a[href="#{two.id}"]'))
    browser.one(f'#jobs a[href="#{two.id}"]').click()
    browser.until_state("failed")
    assert not browser.one("#jobs-panel").is_displayed()
    browser.driver.back()
    assert browser.one("#jobs-panel").is_displayed()


def test_a_long_job_draws_only_what_is_near_the_visible_part(browser: Browser, tmp_path: Path) -> None:
    database = tmp_path / "jobs.db"
    with Store(database) as store:
        job = store.create_job("Fix it.", title="Long")
    add_calls(database, job.id)
    with program("orchestrator", "--port", "0", "--database", str(database), environment=ADMIN) as running:
        url = running.wait_for(r"listening on (http://\S+)")
        browser.go(f"{url}/?token={ADMIN_TOKEN}#{job.id}")
        browser.until("the state", lambda: browser.text("#state") == "waiting")
        assert browser.numbers()[-1] == LONG_JOB
        drawn = "return [...document.querySelectorAll('#events > li')].filter("
        drawn += "e => e.firstElementChild.checkVisibility({contentVisibilityAuto: true})).length"
        assert 0 < browser.script(drawn) < 200
        assert browser.script("return document.querySelectorAll('#events pre').length") == 0
        browser.one("#search").send_keys("output 2076")
        browser.until("the event", lambda: browser.text("#matches") == f"1 of {LONG_JOB // 2:,}")


def add_calls(database: Path, job_id: str) -> None:
    """Add the events of a long job in one transaction."""
    events: list[tuple[str, int, str, str]] = []
    for number in range(0, LONG_JOB, 2):
        call = {"tool_name": "shell", "tool_call_id": f"call_{number}"}
        use = {**call, "input": json.dumps({"command": f"echo {number}"})}
        result = {**call, "output": f"output {number}\n" * 100, "success": True}
        events.append((job_id, number + 1, "tool_use", json.dumps(use)))
        events.append((job_id, number + 2, "tool_result", json.dumps(result)))
    with closing(sqlite3.connect(database)) as db, db:
        db.executemany(
            "INSERT INTO events (job, number, event_type, data, at, input_tokens, output_tokens)"
            " VALUES (?, ?, ?, ?, 1.7e9, 0, 0)",
            events,
        )
