"""`scripts/profile` and `scripts/trace_picture.py`: profiles of a real run, and the picture of a trace."""

from __future__ import annotations

import json
import os
import re
import sys
from html import unescape
from pathlib import Path

import pytest
import trio

from observability.tracefile import read_trace
from trioworker.observability.chrome_trace import ChromeTrace
from trioworker.observability.recording import RecordingTracer

SCRIPTS = Path(__file__).parents[2] / "scripts"

pytestmark = pytest.mark.integration


async def run_python(*arguments: str) -> str:
    """The standard output of a program of `scripts`."""
    ended = await trio.run_process(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        capture_stdout=True,
    )
    return ended.stdout.decode()


def titles(svg: str) -> list[str]:
    """The titles of the picture's boxes."""
    assert svg.startswith("<svg ")
    return [unescape(title) for title in re.findall("<title>([^<]*)</title>", svg)]


async def test_profiles_contain_what_the_worker_did_during_the_job(tmp_path: Path) -> None:
    profile = trio.Path(tmp_path / "profile")
    shown = await run_python("-m", "benchmarks.profiler", "--turns", "10", "--out", str(profile))
    text = await (profile / "profile.txt").read_text()
    assert "run_program  trioworker/worker/program.py" in text
    assert text in shown
    attributed = re.search(r"^([\d.]+)% of \d+ samples belong to an actor by name", shown, re.M)
    assert attributed is not None
    assert float(attributed[1]) >= 95.0
    for actor in ("reasoner", "tool-executor", "event-shipper", "prompt-poller"):
        assert re.search(rf"^{actor} +\d+ ", shown, re.M)
    assert "complete_with_tools" in await (profile / "profile.html").read_text()
    frames = json.loads(await (profile / "speedscope.json").read_text())["shared"]["frames"]
    client = [frame for frame in frames if frame["name"] == "complete_with_tools"]
    assert [Path(frame["file"]).name for frame in client] == ["orchestrator_client.py"]


async def test_a_picture_contains_every_span_of_a_trace(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    picture = (str(SCRIPTS / "trace_picture.py"), str(file))
    trace = ChromeTrace(file, "job-1")
    tracer = RecordingTracer([trace], str)
    with tracer.span("job", "whole"), tracer.span("tool", "a < b", track="tool-executor"):
        tracer.instant("cancel")
        trace.write()
        unfinished = titles(await run_python(*picture))
    trace.close()
    assert len(unfinished) == len(read_trace(file).slices) == 2
    assert all("unfinished" in box for box in unfinished)
    assert sorted(box.split(":")[0] for box in titles(await run_python(*picture))) == ["a < b", "whole"]
