"""The real program: the trace of a killed worker, an instrument, and an export without the extra."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio

from observability.tracefile import read_trace
from support.program import until
from support.realjob import real_job, real_orchestrator, real_worker
from trioworker.orchestrator.store import Store
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

INSTRUMENT = """
import os

import trio

class Whole(trio.abc.Instrument):
    def __init__(self):
        self.seen = []

    def before_run(self):
        self.seen.append("before run")

    def task_spawned(self, task):
        self.seen.append(task.name)

    def after_run(self):
        with open(os.environ["SEEN_FILE"], "w") as file:
            file.write(chr(10).join([*self.seen, "after run"]))
"""


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as store:
        yield store


async def test_trace_of_a_killed_worker_shows_unfinished_spans(store: Store, workspace: Path) -> None:
    file = workspace.parent / "trace.json"
    turns = [call("shell", command="sleep 60"), DONE]
    async with real_job(store, workspace, turns, "--trace", str(file)) as job:
        # A started span is in the file after the next flush.
        await until(lambda: file.exists() and '"shell"' in file.read_text())
        job.program.signal(signal.SIGKILL)
        await job.program.ended()
    trace = read_trace(file)
    assert not trace.complete
    (span,) = trace.of_kind("tool")
    assert (span.name, span.ended) == ("shell", None)
    assert trace.named("POST llm/complete_with_tools")[0].seconds > 0
    assert {span.name for span in trace.slices if span.ended is None} >= {"job", "shell", "answers to the calls"}


async def test_variable_enables_the_trace(store: Store, workspace: Path) -> None:
    file = workspace.parent / "trace.json"
    async with (
        real_orchestrator(store, [DONE]) as place,
        real_worker(place, workspace, environment={"TRIOWORKER_TRACE": str(file)}) as job,
    ):
        assert (await job.ended()).code == 0
    assert read_trace(file).complete


async def test_instrument_sees_the_whole_run(store: Store, workspace: Path) -> None:
    (workspace.parent / "harness.py").write_text(INSTRUMENT)
    seen_file = workspace.parent / "seen.txt"
    variables = {
        "PYTHONPATH": str(workspace.parent),
        "TRIOWORKER_INSTRUMENT": "harness:Whole",
        "SEEN_FILE": str(seen_file),
    }
    async with real_orchestrator(store, [DONE]) as place, real_worker(place, workspace, environment=variables) as job:
        ended = await job.ended()
    assert ended.code == 0, ended.err
    seen = (await trio.Path(seen_file).read_text()).splitlines()
    assert seen[0] == "before run"
    assert {"reasoner", "event-shipper"} <= {*seen}
    assert seen[-1] == "after run"


async def test_missing_instrument_is_one_line_and_exit_code_2(store: Store, workspace: Path) -> None:
    async with real_job(store, workspace, [DONE], "--instrument", "absent_harness:Whole") as job:
        ended = await job.ended()
    assert ended.code == 2
    assert "--instrument absent_harness:Whole: no module absent_harness; is it installed" in ended.complaint
    assert job.orchestrator.requests == []


async def test_missing_extra_is_one_warning_and_the_job_succeeds(store: Store, workspace: Path) -> None:
    hidden = workspace.parent / "hidden" / "opentelemetry"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('not installed')")
    variables = {"PYTHONPATH": str(hidden.parent), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    async with real_orchestrator(store, [DONE]) as place, real_worker(place, workspace, environment=variables) as job:
        ended = await job.ended()
    assert ended.code == 0, ended.err
    warnings = [line for line in ended.err.splitlines() if "OpenTelemetry" in line]
    assert len(warnings) == 1
    assert warnings[0].endswith("no spans are exported: OpenTelemetry is not installed; pip install 'trioworker[otel]'")
    assert "Traceback" not in ended.err
