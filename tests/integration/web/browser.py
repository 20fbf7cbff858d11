"""A real Chromium, and the real programs whose page it shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from orchestrator.serving import ADMIN_TOKEN
from trioworker.protocol.values import ITERATION_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

WAIT_TIMEOUT = 60.0
"""Seconds in which a condition must hold; long, since the machine may be busy."""
POLL_INTERVAL = 0.05
ADMIN = {"TRIOWORKER_ORCHESTRATOR_ADMIN_TOKEN": ADMIN_TOKEN}
"""The environment of an orchestrator with a known secret."""
CHROMIUM_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--lang=en-US"),
)


class Browser:
    """A page in the browser, with the actions and views of its user."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver: Any = driver

    def go(self, url: str) -> None:
        self.driver.get(url)

    def one(self, selector: str) -> Any:
        """The first element, which the page may still be adding."""
        self.until(selector, lambda: self.all(selector))
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str = "body") -> str:
        return self.script("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def script(self, code: str, *arguments: Any) -> Any:
        return self.driver.execute_script(code, *arguments)

    def wait_for(self, code: str) -> Any:
        """What `code` passes to the function `done`."""
        return self.driver.execute_async_script(f"const done = arguments[0]; {code}")

    def until(self, description: str, holds: Callable[[], object]) -> None:
        """Wait until a condition holds. Fails with `description`."""
        end = time.monotonic() + WAIT_TIMEOUT
        while not holds():
            assert time.monotonic() < end, (
                f"not seen: {description}\n{self.text('main')[-2000:]}\n{self.driver.get_log('browser')}"
            )
            time.sleep(POLL_INTERVAL)

    def until_text(self, text: str, selector: str = "main") -> None:
        self.until(text, lambda: text in self.text(selector))

    def until_state(self, state: str) -> None:
        self.until(f"state {state}", lambda: self.state() == state)

    def numbers(self) -> list[int]:
        """The numbers of the events shown: for a call, its own and its result's."""
        return self.script(
            "return [...document.querySelectorAll('#events > li')]"
            ".flatMap(li => [li.dataset.number, li.dataset.answer]).filter(Boolean).map(Number)"
        )

    def open_all(self) -> None:
        """Open all that can be folded."""
        self.script("for (const details of document.querySelectorAll('details')) details.open = true")
        self.until("their contents", lambda: not self.all("details.call[open] .inside:empty"))

    def state(self) -> str:
        return self.script("return document.getElementById('state').dataset.state")

    def grant(self, *permissions: str) -> None:
        """Allow the page what a person would be asked for."""
        self._command("Browser.grantPermissions", permissions=permissions)

    def resize(self, width: int, height: int) -> None:
        self._command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def dark(self, *, on: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self._command("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, file: Path) -> None:
        """Save what the browser shows, without the pointer's and the keyboard's focus."""
        self.script("document.activeElement.blur()")
        self.until("a picture", lambda: self.driver.save_screenshot(str(file)))

    def _command(self, name: str, **arguments: Any) -> None:
        self.driver.execute_cdp_cmd(name, arguments)


@contextmanager
def chromium() -> Generator[Browser]:
    """A browser with an empty profile. Skips the test if Chromium isn't installed."""
    program, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if program is None or driver is None:
        pytest.skip("chromium or chromedriver is missing (Debian: apt install chromium chromium-driver)")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = Options()
        options.binary_location = program
        for option in (*CHROMIUM_OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        started = webdriver.Chrome(options=options, service=Service(driver))
        try:
            yield Browser(started)
        finally:
            started.quit()


class Running:
    """A running program and its stderr."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.stderr: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.stderr.append(line)

    def close(self) -> None:
        self._reader.join()

    def wait_for(self, pattern: str) -> str:
        """Wait until `pattern` matches in stderr, and return its first group."""
        end = time.monotonic() + WAIT_TIMEOUT
        while (found := re.search(pattern, "".join(self.stderr))) is None:
            assert self.process.poll() is None or self._reader.is_alive(), "".join(self.stderr)
            assert time.monotonic() < end, "".join(self.stderr)
            time.sleep(POLL_INTERVAL)
        return found[1]


@contextmanager
def program(*arguments: str, environment: Mapping[str, str] | None = None) -> Generator[Running]:
    """Run `trioworker ARGUMENT…`; kill it at the end if it is still running."""
    with subprocess.Popen(
        [sys.executable, "-m", "trioworker", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    ) as process:
        running = Running(process)
        try:
            yield running
        finally:
            process.kill()
            process.wait()
            running.close()


def timeline_of(page: str) -> Any:
    """The timeline of the job whose page's URL, with token and job, was printed."""
    parts = urlsplit(page)
    headers = {"Authorization": f"Bearer {parts.query.removeprefix('token=')}"}
    with closing(HTTPConnection(parts.netloc, timeout=WAIT_TIMEOUT)) as connection:
        connection.request("GET", f"/web/jobs/{parts.fragment}/timeline", headers=headers)
        return json.loads(connection.getresponse().read())


class Worker:
    """Sends a worker's requests for one job, which it creates at an orchestrator with `ADMIN_TOKEN`."""

    pace = 0.0
    """Seconds before each event, for pictures."""

    def __init__(self, url: str, title: str = "Fix it", description: str = "Fix the parser.") -> None:
        self._host = urlsplit(url).netloc
        status, content = self._request("POST", "/jobs", {"title": title, "description": description}, ADMIN_TOKEN)
        assert status == 201, content
        job: dict[str, str] = json.loads(content)
        self.id = job["id"]
        self.token = job["token"]
        self.page = f"{url}/?token={ADMIN_TOKEN}#{self.id}"
        self._seq = 0
        self._asked = 0

    def post(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> None:
        status, content = self._request("POST", f"/worker/{self.id}/{path}", body, self.token, headers)
        assert status == 200, content

    def prompt(self) -> str:
        """Fetch the next follow-up."""
        status, content = self._request("GET", f"/worker/{self.id}/prompt", None, self.token)
        assert status == 200, content
        return json.loads(content)["content"]

    def send(self, content: str) -> None:
        """Send the job a follow-up, as a person would."""
        status, answer = self._request("POST", f"/jobs/{self.id}/prompt", {"content": content}, ADMIN_TOKEN)
        assert status == 202, answer

    def stop(self) -> None:
        """Stop the job, as the page's button does."""
        status, answer = self._request("POST", f"/web/jobs/{self.id}/stop", {}, ADMIN_TOKEN)
        assert status == 202, answer

    def event(self, event_type: str, **data: object) -> None:
        time.sleep(self.pace)
        self.post("event", {"event_type": event_type, "data": {"seq": self._seq, **data}})
        self._seq += 1

    def say(self, content: str, role: str = "assistant") -> None:
        self.event("message", role=role, content=content)

    def ask(self) -> None:
        """Ask the model, whose reply has a name and tokens."""
        said = [{"role": "assistant", "content": "ok"}] * self._asked
        self._asked += 1
        messages = [{"role": "user", "content": "go"}, *said]
        self.post("llm/complete", {"messages": messages, "max_tokens": 100}, {ITERATION_HEADER: str(self._asked)})

    def begin(self) -> None:
        self.post("status", {"state": "in_progress", "message": "Worker started", "iteration": 1})

    def use(self, tool: str, **arguments: object) -> str:
        """Start a call, and return its id."""
        call_id = f"call_{self._seq}"
        self.event("tool_use", tool_name=tool, input=json.dumps(arguments), tool_call_id=call_id)
        return call_id

    def call(self, tool: str, arguments: str, output: str, *, success: bool = True, **more: object) -> None:
        call_id = f"call_{self._seq}"
        self.event("tool_use", tool_name=tool, input=arguments, tool_call_id=call_id)
        self.event("tool_result", tool_name=tool, output=output, success=success, tool_call_id=call_id, **more)

    def complete(self, message: str = "All done.", status: str = "completed") -> None:
        success = status == "completed"
        self.event("result", success=success, status=status, message=message)
        self.post("complete", {"success": success, "message": message, "iterations": max(1, self._asked)})

    def _request(
        self, method: str, path: str, body: object, token: str, more: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}", **(more or {})}
        with closing(HTTPConnection(self._host, timeout=WAIT_TIMEOUT)) as connection:
            connection.request(method, path, json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read()


def local(workspace: Path, turns: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    """The arguments of a local job with a page, whose model plays `turns`."""
    script = workspace.parent / "turns.json"
    script.write_text(json.dumps(turns))
    state = str(workspace.parent / "state")
    run = ("local", "Fix it.", "--web", "--workspace", str(workspace), "--state-dir", state)
    return (*run, "--llm", f"script:{script}")


def prompts_fetched(page: str) -> int:
    """How often the worker has polled for follow-ups, from the timeline of its trace."""
    lanes = timeline_of(page)["lanes"]
    return sum(span["name"] == "GET prompt" and not span["open"] for lane in lanes for span in lane["spans"])


def shell(command: str, content: str = "") -> dict[str, object]:
    """A turn with one call."""
    return {"content": content, "tool_calls": [{"name": "shell", "arguments": {"command": command}}]}
