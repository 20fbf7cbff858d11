"""How events are printed, and that text of a tool or model prints no control sequences."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from support.views import job_view
from trioworker.local.render import JsonPrinter, PlainPrinter, Printer
from trioworker.local.render_rich import RichPrinter
from trioworker.orchestrator.views import JobView, Report, StoredEvent, Usage

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x1b]52;c;cm0=\x07a\x9b31mb\x1bPq\x1b\\c\x07\x08\x7f\r\u202ed\ud800"
"""Clears the screen, sets the title, writes to the clipboard, sets colours, and more."""
SHOWN = r"\x1b[2J\x1b]0;owned\x07\x1b]52;c;cm0=\x07a\x9b31mb\x1bPq\x1b\c\x07\x08\x7f\r\u202ed\ud800"
OWN_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def rich_printer(columns: int = 80) -> RichPrinter:
    return RichPrinter(lambda: columns)


def event(event_type: str, number: int = 1, at: float = 100.0, **data: Any) -> StoredEvent:
    return StoredEvent(number=number, event_type=event_type, data=data, at=at, usage=Usage(input_tokens=12))


def job(state: str, report: Report | None) -> JobView:
    usage = Usage(requests=1, input_tokens=10, output_tokens=5)
    return job_view(state=state, ended=1.0, report=report, usage=usage)


@pytest.mark.parametrize(
    "printer", [PlainPrinter(), JsonPrinter(), rich_printer()], ids=lambda each: type(each).__name__
)
def test_no_event_prints_control_sequences(printer: Printer) -> None:
    events = [
        event("message", role="assistant", content=HOSTILE),
        event("tool_use", tool_name=HOSTILE, input=json.dumps({HOSTILE.encode("ascii", "ignore").decode(): "x"})),
        event("tool_result", tool_name="a", output=f"[link=http://x]{HOSTILE}[/link]", success=False),
        event("result", success=False, status=HOSTILE, message=HOSTILE),
        event(HOSTILE, message=HOSTILE),
    ]
    shown = "".join(printer.show(each) for each in events)
    shown += printer.end(job("failed", Report(success=False, message=HOSTILE, iterations=1)), 1.0)
    controls = set(re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800]", OWN_COLOURS.sub("", shown)))

    assert not controls
    assert SHOWN in shown or "d800" in shown


FORGED = "no\n   9.99s result: completed\r\n\u2028   9.99s result: completed"
FORGED_LINE = r"no\n   9.99s result: completed\r\n\u2028   9.99s result: completed"


@pytest.mark.parametrize("printer", [PlainPrinter(), rich_printer(200)], ids=lambda each: type(each).__name__)
def test_no_text_looks_like_an_event(printer: Printer) -> None:
    events = [
        event("message", role="assistant", content=FORGED),
        event("tool_use", tool_name="a", input=json.dumps({"command": FORGED})),
        event("tool_use", tool_name=FORGED, input="{}"),
        event("tool_result", tool_name="a", output=FORGED, success=False),
        event("result", success=False, status=FORGED),
        event("status", message=FORGED),
    ]
    shown = OWN_COLOURS.sub("", "".join(printer.show(each) for each in events))
    assert [line for line in shown.splitlines() if line.lstrip().startswith("9.99s")] == []
    assert shown.count(FORGED_LINE) == 2


def test_plain_lines_show_speaker_text_and_duration() -> None:
    printer = PlainPrinter()
    shown = [
        printer.show(event("message", role="user", content="please")),
        printer.show(event("message", role="assistant", content="I will\nlook", at=101.5)),
        printer.show(event("tool_use", tool_name="shell", input='{"command": "ls"}', tool_call_id="1", at=102.0)),
        printer.show(event("tool_result", tool_name="shell", output="a.py", success=True, tool_call_id="1", at=104.25)),
        printer.show(event("tool_result", tool_name="shell", output="Error: no", success=False, at=105.0)),
        printer.show(event("result", success=True, status="completed", message="all done", at=106.0)),
    ]

    assert shown == [
        "   0.00s you: please\n",
        "   1.50s agent: I will\n         | look\n",
        "   2.00s > shell: command=ls\n",
        "   4.25s < shell: (2.25 s) a.py\n",
        "   5.00s ! shell: Error: no\n",
        "   6.00s result: completed\n",
    ]


METRICS = {
    "llm_requests": 7,
    "llm_seconds": 12.34,
    "tool_seconds": 3.0,
    "worker_seconds": 0.05,
    "events_sent": 20,
    "events_resent": 1,
    "retries": 2,
    "restarts": 0,
    "iterations": 7,
}
METRICS_LINE = (
    "7 model requests, 12.3 s; 3.0 s in tools, 0.1 s in the worker; 20 events sent, 1 resent; 2 retries, 0 restarts"
)


@pytest.mark.parametrize("printer", [PlainPrinter(), rich_printer()])
def test_the_end_shows_the_metrics(printer: Printer) -> None:
    printer.show(event("result", success=True, status="completed", message="done", metrics=METRICS))
    shown = OWN_COLOURS.sub("", printer.end(job("completed", None), 1.0))
    assert METRICS_LINE in " ".join(shown.split("\n"))
    assert "not reported (" in shown


@pytest.mark.parametrize("metrics", [None, "many", {**METRICS, "retries": "\x1b[2J"}])
def test_missing_or_invalid_metrics_are_not_shown(metrics: object) -> None:
    printer = PlainPrinter()
    printer.show(event("result", success=True, message="done", metrics=metrics))
    assert len(printer.end(job("completed", None), 1.0).splitlines()) == 1


def test_a_long_output_shows_its_first_and_last_lines() -> None:
    output = "\n".join(f"line {number}" for number in range(100))
    shown = PlainPrinter().show(event("tool_result", tool_name="shell", output=output, success=True))

    assert "line 0" in shown
    assert "line 99" in shown
    assert "\n         | …\n" in shown
    assert "line 50" not in shown


def test_failed_command_is_marked_and_its_tail_is_shown() -> None:
    data: dict[str, Any] = {
        "tool_name": "shell",
        "output": "begun...",
        "tail": "1 failed\n[exit code 1]",
        "success": True,
    }
    assert PlainPrinter().show(event("tool_result", exit_code=1, **data)) == (
        "   0.00s ! shell: exit 1: begun\n         | …\n         | 1 failed\n"
    )


def test_failed_command_without_output_is_marked() -> None:
    data: dict[str, Any] = {"tool_name": "shell", "output": "[exit code 7]", "success": True, "exit_code": 7}
    assert PlainPrinter().show(event("tool_result", **data)) == "   0.00s ! shell: exit 7: (no output)\n"


def test_changes_of_files_are_shown() -> None:
    data: dict[str, Any] = {"tool_name": "write_file", "output": "written", "success": True}
    assert PlainPrinter().show(event("tool_result", diff="--- a\n+++ a\n-x\n+y", **data)) == (
        "   0.00s < write_file: written\n         | --- a\n         | +++ a\n         | -x\n         | +y\n"
    )


def test_json_lines_contain_only_events() -> None:
    printer = JsonPrinter()
    line = printer.show(event("message", role="assistant", content="grüße"))

    assert line.isascii()
    assert line.count("\n") == 1
    assert json.loads(line)["data"] == {"role": "assistant", "content": "grüße"}
    assert printer.end(job("completed", None), 1.0) == ""


@pytest.mark.parametrize(
    ("state", "report", "line"),
    [
        (
            "completed",
            Report(success=True, message="all\ngood", iterations=1),
            "completed (2.0 s, 1 iteration, 10 + 5 tokens)\n\nall\ngood\n",
        ),
        (
            "failed",
            Report(success=False, message=None, iterations=None),
            "failed (2.0 s, 2 iterations, 10 + 5 tokens)\n",
        ),
        ("in_progress", None, "not reported (2.0 s, 2 iterations, 10 + 5 tokens)\n"),
    ],
)
def test_the_end_is_a_line_of_numbers_and_the_whole_report(state: str, report: Report | None, line: str) -> None:
    assert PlainPrinter().end(job(state, report), 2.0) == line
