"""A real Chromium, and the real programs that it looks at."""

from __future__ import annotations

import json
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

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

PATIENCE = 60.0
"""Seconds until what should be seen fails its test: a busy machine is slow."""
LOOK_AGAIN = 0.05
CHROMIUM_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--lang=en-US"),
)


class Browser:
    """A page, and what a person sees and does there."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver: Any = driver

    def go(self, url: str) -> None:
        self.driver.get(url)

    def one(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str = "body") -> str:
        return self.script("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def script(self, code: str, *arguments: Any) -> Any:
        return self.driver.execute_script(code, *arguments)

    def until(self, what: str, holds: Callable[[], object]) -> None:
        """Wait until something holds, or fail saying `what`."""
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end, (
                f"never seen: {what}\n{self.text('main')[-2000:]}\n{self.driver.get_log('browser')}"
            )
            time.sleep(LOOK_AGAIN)

    def until_text(self, text: str, selector: str = "main") -> None:
        self.until(text, lambda: text in self.text(selector))

    def until_state(self, state: str) -> None:
        self.until(
            f"state {state}", lambda: self.script("return document.getElementById('state').dataset.state") == state
        )

    def numbers(self) -> list[int]:
        """The numbers of the events that are shown, a call's and its result's each."""
        return self.script(
            "return [...document.querySelectorAll('#events > li')]"
            ".flatMap(li => [li.dataset.number, li.dataset.answer]).filter(Boolean).map(Number)"
        )

    def resize(self, width: int, height: int) -> None:
        self._command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def dark(self, *, on: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self._command("Emulation.setEmulatedMedia", features=[scheme])

    def _command(self, name: str, **arguments: Any) -> None:
        self.driver.execute_cdp_cmd(name, arguments)


@contextmanager
def chromium() -> Generator[Browser]:
    """A browser with an empty profile; skips where there is none."""
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
    """One of our programs, and what it told on stderr."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.told: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.told.append(line)

    def close(self) -> None:
        self._reader.join()

    def url(self, pattern: str) -> str:
        """What `pattern` finds in what was told, as soon as it was."""
        end = time.monotonic() + PATIENCE
        while (found := re.search(pattern, "".join(self.told))) is None:
            assert self.process.poll() is None or self._reader.is_alive(), "".join(self.told)
            assert time.monotonic() < end, "".join(self.told)
            time.sleep(LOOK_AGAIN)
        return found[1]


@contextmanager
def program(*arguments: str) -> Generator[Running]:
    """`trioworker ARGUMENT…`, killed at the end if it has not ended."""
    with subprocess.Popen(
        [sys.executable, "-m", "trioworker", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        running = Running(process)
        try:
            yield running
        finally:
            process.kill()
            process.wait()
            running.close()


def get(url: str) -> Any:
    """What the orchestrator answers to a GET."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.netloc, timeout=PATIENCE)) as connection:
        connection.request("GET", parts.path)
        return json.loads(connection.getresponse().read())


class Worker:
    """A worker's side of one job, played by a test."""

    def __init__(self, url: str, title: str = "Mend it", description: str = "Mend the parser.") -> None:
        self._host = urlsplit(url).netloc
        status, said = self._request("POST", "/jobs", {"title": title, "description": description})
        assert status == 201, said
        job: dict[str, str] = json.loads(said)
        self.id = job["id"]
        self.token = job["token"]
        self._seq = 0

    def post(self, path: str, body: object) -> None:
        status, said = self._request("POST", f"/worker/{self.id}/{path}", body, self.token)
        assert status == 200, said

    def prompt(self) -> str:
        """The follow-up that waits."""
        status, said = self._request("GET", f"/worker/{self.id}/prompt", None, self.token)
        assert status == 200, said
        return json.loads(said)["content"]

    def event(self, event_type: str, **data: object) -> None:
        self.post("event", {"event_type": event_type, "data": {"seq": self._seq, **data}})
        self._seq += 1

    def say(self, content: str, role: str = "assistant") -> None:
        self.event("message", role=role, content=content)

    def call(self, tool: str, arguments: str, output: str, *, success: bool = True) -> None:
        call_id = f"call_{self._seq}"
        self.event("tool_use", tool_name=tool, input=arguments, tool_call_id=call_id)
        self.event("tool_result", tool_name=tool, output=output, success=success, tool_call_id=call_id)

    def complete(self) -> None:
        self.event("result", success=True, status="completed", message="All done.")
        self.post("complete", {"success": True, "message": "All done.", "iterations": 2})

    def _request(self, method: str, path: str, body: object, token: str = "") -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        with closing(HTTPConnection(self._host, timeout=PATIENCE)) as connection:
            connection.request(method, path, json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
