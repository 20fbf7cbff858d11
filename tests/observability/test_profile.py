"""`scripts/profile`: the flame graph of a real run, and the picture of a trace."""

from __future__ import annotations

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


async def flames(*arguments: str) -> str:
    """Run the program of the script; return its stdout."""
    ended = await trio.run_process(
        [sys.executable, "-m", "flames", *arguments],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        capture_stdout=True,
    )
    return ended.stdout.decode()


def titles(svg: str) -> list[str]:
    """The tooltips of the boxes of a picture."""
    assert svg.startswith("<svg ")
    return [unescape(title) for title in re.findall("<title>([^<]*)</title>", svg)]


async def test_flame_graph_shows_the_workers_functions(tmp_path: Path) -> None:
    await flames("--turns", "3", "--out", str(tmp_path / "profile"))
    boxes = titles(await trio.Path(tmp_path / "profile" / "flamegraph.svg").read_text())
    assert any(box.startswith("complete_with_tools (trioworker/worker/client/orchestrator_client.py:") for box in boxes)
    assert not any(box.startswith("epoll.poll") for box in boxes)
    assert (tmp_path / "profile" / "speedscope.json").stat().st_size


async def test_picture_shows_every_span_of_a_trace(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    trace = ChromeTrace(file, "job-1")
    tracer = RecordingTracer([trace])
    with tracer.span("job", "whole"), tracer.span("tool", "a < b", track="tool-executor"):
        tracer.instant("cancel")
        trace.write()
        unfinished = titles(await flames("--picture", str(file)))
    trace.close()
    assert len(unfinished) == len(read_trace(file).slices) == 2
    assert all("unfinished" in box for box in unfinished)
    assert sorted(box.split(":")[0] for box in titles(await flames("--picture", str(file)))) == ["a < b", "whole"]
