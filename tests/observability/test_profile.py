"""`scripts/profile`: a flame graph of a real run, and the picture of a trace."""

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
from trioworker.observability.recording import Recorder

SCRIPTS = Path(__file__).parents[2] / "scripts"

pytestmark = pytest.mark.integration


async def flames(*arguments: str) -> str:
    """Run the script's program; what it printed."""
    ended = await trio.run_process(
        [sys.executable, "-m", "flames", *arguments],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        capture_stdout=True,
    )
    return ended.stdout.decode()


def told(svg: str) -> list[str]:
    """What the boxes of a picture say when pointed at."""
    assert svg.startswith("<svg ")
    return [unescape(title) for title in re.findall("<title>([^<]*)</title>", svg)]


async def test_a_flame_graph_holds_what_the_worker_did(tmp_path: Path) -> None:
    await flames("--turns", "3", "--out", str(tmp_path / "profile"))
    boxes = told(await trio.Path(tmp_path / "profile" / "flamegraph.svg").read_text())
    assert any(box.startswith("complete_with_tools (trioworker/worker/client/orchestrator_client.py:") for box in boxes)
    assert not any(box.startswith("epoll.poll") for box in boxes)
    assert (tmp_path / "profile" / "speedscope.json").stat().st_size


async def test_a_picture_holds_every_span_of_a_trace(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    trace = ChromeTrace(file, "job-1")
    tracer = Recorder([trace])
    with tracer.span("job", "whole"), tracer.span("tool", "a < b", track="tool-executor"):
        tracer.instant("cancel")
        trace.write()
        unfinished = told(await flames("--picture", str(file)))
    trace.close()
    assert len(unfinished) == len(read_trace(file).slices) == 2
    assert all("unfinished" in box for box in unfinished)
    assert sorted(box.split(":")[0] for box in told(await flames("--picture", str(file)))) == ["a < b", "whole"]
