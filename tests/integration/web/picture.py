"""Takes the README's screenshot of a real job: `python -m integration.web.picture FILE [--dark] [--narrow] [--top]`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from integration.web.browser import chromium, program

ROOT = Path(__file__).parents[3]
TASK = "The tests of this project fail. Find out why median is wrong, fix it, and commit."


def main(file: str, *options: str) -> None:
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "medians"
        write_project(project)
        at = ("--workspace", str(project), "--state-dir", f"{folder}/state")
        llm = ("--llm", f"script:{ROOT / 'scripts' / 'demo.yaml'}")
        with program("local", TASK, "--title", "Fix the median", "--web", *at, *llm) as running, chromium() as browser:
            if "--narrow" in options:
                browser.resize(390, 844)
            else:
                browser.resize(1180, 860)
            browser.dark(on="--dark" in options)
            browser.go(running.wait_for(r"watch the job at (http://\S+)"))
            browser.until_state("completed")
            browser.until(
                "the timeline", lambda: "narrow" in str(options) or browser.all("#timeline-picture .span.tool")
            )
            browser.script("document.querySelectorAll('details.call')[3].open = true")
            browser.script("document.getElementById('log').scrollTop = arguments[0]", 0 if "--top" in options else 250)
            browser.script("document.activeElement.blur()")
            browser.until("a picture", lambda: browser.driver.save_screenshot(file))


def write_project(project: Path) -> None:
    """Create the project of scripts/try, with that script's function."""
    script = (ROOT / "scripts" / "try").read_text()
    start = script.index("write_project() {")
    function = script[start : script.index("\n}\n", start) + 3]
    subprocess.run(["bash", "-c", f'{function}\nwrite_project "$1"', "bash", str(project)], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
