"""The trace file: readable wherever its writer is killed, and continued by the worker that resumes the job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from loguru import logger

from observability.tracefile import read_trace
from trioworker.observability.chrome_trace import ChromeTrace
from trioworker.observability.recording import RecordingTracer

if TYPE_CHECKING:
    from trioworker.observability.spans import Tracer


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "trace.json"


def recording(file: Path, job_id: str = "job-1") -> tuple[ChromeTrace, Tracer]:
    trace = ChromeTrace(file, job_id)
    return trace, RecordingTracer([trace], str)


def test_written_events_are_readable_without_the_end(file: Path) -> None:
    trace, tracer = recording(file)
    with tracer.span("job", "job"), tracer.span("tool", "shell", track="tool-executor", iteration=3):
        trace.write()
        died = read_trace(file)
    assert not died.complete
    assert [(span.name, span.ended) for span in died.slices] == [("job", None), ("shell", None)]
    assert died.named("shell")[0].args == {"iteration": 3}


def test_closed_file_is_valid_json(file: Path) -> None:
    trace, tracer = recording(file)
    with tracer.span("wait", 'a "quoted" name — and more'):
        pass
    trace.close()
    assert json.loads(file.read_text())[-1]["ph"] == "X"
    assert read_trace(file).named('a "quoted" name — and more')[0].seconds >= 0


def test_resumed_worker_continues_the_file(file: Path) -> None:
    for _ in range(2):
        trace, tracer = recording(file)
        with tracer.span("job", "killed"):
            trace.write()
    trace, tracer = recording(file)
    with tracer.span("job", "resumed"):
        pass
    trace.close()
    whole = read_trace(file)
    assert whole.complete
    assert whole.processes == dict.fromkeys((1, 2, 3), "trioworker job-1")
    assert [(span.name, span.process, span.ended is None) for span in whole.slices] == [
        ("killed", 1, True),
        ("killed", 2, True),
        ("resumed", 3, False),
    ]


@pytest.mark.parametrize("what", ["ended", "another job's", "no trace"])
def test_any_other_file_is_replaced(file: Path, what: str) -> None:
    if what == "no trace":
        file.write_text("[\nsomething else of job-1 that ends in }")
    else:
        earlier, _ = recording(file, "job-2" if what == "another job's" else "job-1")
        earlier.write()
        if what == "ended":
            earlier.close()
    trace, tracer = recording(file)
    with tracer.span("job", "new"):
        pass
    trace.close()
    assert read_trace(file).processes == {1: "trioworker job-1"}
    assert [span.name for span in read_trace(file).slices] == ["new"]


def test_full_disk_is_logged_once_and_ends_the_trace() -> None:
    said: list[str] = []
    logger.add(said.append, format="{level} {message}")
    trace, tracer = recording(Path("/dev/full"))
    for _ in range(3):
        tracer.instant("tick")
        trace.write()
    trace.close()
    assert said == ["WARNING /dev/full: the trace stops here: No space left on device\n"]


@pytest.mark.parametrize("earlier", ["none", "job-1", "job-2", "no trace"])
def test_file_is_private_also_if_it_existed(file: Path, earlier: str) -> None:
    if earlier == "no trace":
        file.write_text("something else")
    elif earlier != "none":
        recording(file, earlier)[0].write()
    if file.exists():
        file.chmod(0o644)
    trace, _ = recording(file)
    trace.close()
    assert file.stat().st_mode & 0o777 == 0o600


def test_every_text_of_a_trace_is_redacted(file: Path) -> None:
    trace = ChromeTrace(file, "job-1")
    tracer = RecordingTracer([trace], lambda text: text.replace("early", "***"))
    with tracer.span("job", "an early name", call="early"):
        tracer.instant("early", reason="early")
        tracer.redact_with(lambda text: text.replace("late", "***"))
        with tracer.span("tool", "a late name", call="late") as span:
            span.set(status="late", number=3)
        tracer.instant("late", reason="late")
    trace.close()
    content = file.read_text()
    assert "early" not in content
    assert "late" not in content
    assert content.count("***") == 9
