"""Jobs in each state of the page, for its tests and its pictures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from integration.web.browser import Worker

if TYPE_CHECKING:
    from pathlib import Path

TASK = "The tests of this project fail. Find out why median is wrong, fix it, and commit."
DIFF = """\
--- medians.py
+++ medians.py
@@ -5,5 +5,8 @@
     \"\"\"The middle of the values, or the mean of the two middle ones.\"\"\"
     if not values:
         raise ValueError("no values")
-    values.sort()
-    return values[len(values) // 2]
+    ordered = sorted(values)
+    middle = len(ordered) // 2
+    if len(ordered) % 2:
+        return ordered[middle]
+    return (ordered[middle - 1] + ordered[middle]) / 2"""
FAILED_TESTS = "\n".join(
    [
        *(
            f"test_{name} (test_medians.MedianTest.test_{name}) ... ok"
            for name in ("empty", "odd", *map(str, range(40)))
        ),
        "FAIL: test_even (test_medians.MedianTest.test_even)",
        "AssertionError: 3 != 2.5",
        "",
        "Ran 44 tests in 0.004s",
        "",
        "FAILED (failures=2)",
        "[exit code 1]",
    ]
)
TOKENS = ((1402, 96), (1655, 171), (2018, 84), (2261, 157))
ANSWER = """\
`median` returned the **upper of two middle values** and sorted its caller's list in place. Both are fixed:

- an even number of values gives the mean of the two middle ones
- the values are sorted in a copy

All 4 tests pass, and the change is committed."""


def write_model(folder: Path) -> str:
    """A model for `--llm`, whose replies have tokens."""
    script = folder / "demo.yaml"
    script.write_text(json.dumps([{"content": "ok", "input_tokens": i, "output_tokens": o} for i, o in TOKENS]))
    return f"script:{script}"


def running(url: str) -> Worker:
    """A job with a running command and a queued follow-up, after one that was read."""
    worker = Worker(url, "Fix the median", TASK)
    worker.begin()
    worker.ask()
    worker.say("I'll look around before I change anything.")
    worker.call("list_dir", '{"path": "."}', "medians.py (1.2KB)\ntest_medians.py (0.7KB)")
    worker.call("read_file", '{"path": "medians.py"}', '1\t"""Medians of measurements."""')
    worker.ask()
    worker.say("Now I'll run the tests to see what fails.")
    worker.call("shell", '{"command": "python3 -m unittest -v"}', FAILED_TESTS, exit_code=1)
    worker.send("Don't change the caller's list, please.")
    worker.say(worker.prompt(), role="user")
    worker.ask()
    worker.use("shell", command="python3 -m unittest --durations 5")
    worker.send("And add a test for that.")
    return worker


def ended(url: str) -> Worker:
    """A job that is done, with a failed command and a diff."""
    worker = Worker(url, "Fix the median", TASK)
    worker.begin()
    worker.ask()
    worker.say("I'll run the tests to see what fails.")
    worker.call("read_file", '{"path": "medians.py"}', '1\t"""Medians of measurements."""')
    worker.call("shell", '{"command": "python3 -m unittest -v"}', FAILED_TESTS, exit_code=1)
    worker.ask()
    worker.say("Two failures, two causes. An even number of values has no single middle value.")
    arguments = {"path": "medians.py", "old_string": "values.sort()", "new_string": "ordered = sorted(values)"}
    worker.call("apply_patch", json.dumps(arguments), "edited medians.py: 1 replacement", diff=DIFF)
    worker.ask()
    worker.call("shell", '{"command": "python3 -m unittest"}', "Ran 4 tests in 0.001s\n\nOK", exit_code=0)
    worker.call("shell", '{"command": "git commit -q -a -m \'Average the two middle values\'"}', "", exit_code=0)
    worker.ask()
    worker.say(ANSWER)
    worker.complete(ANSWER)
    return worker


def waiting(url: str) -> Worker:
    """A job without a worker."""
    return Worker(url, "Write the release notes", "Write the release notes of 2.1 from the log.")


def failed(url: str) -> Worker:
    """A job that failed."""
    worker = Worker(url, "Update the dependencies", "Update the dependencies and run the tests.")
    worker.begin()
    worker.call(
        "shell", '{"command": "pip install -U -r requirements.txt"}', "ERROR: No matching distribution", exit_code=1
    )
    worker.complete("Execution failed: max iterations (50) exceeded", "failed")
    return worker


def stopped(url: str) -> Worker:
    """A job that was stopped on the page."""
    worker = Worker(url, "Port the parser to Rust", "Port the parser to Rust.")
    worker.begin()
    worker.say("I'll start with the lexer.")
    worker.stop()
    return worker
