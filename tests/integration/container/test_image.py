"""The image, built and run as an orchestrator runs it, by Podman as root and as an ordinary user.

What the machine supports is found by trial. The jobs talk to `trioworker orchestrator` on the host.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from integration.container.commands import CommandError, seconds_of
from integration.container.image import IMAGE
from integration.container.jobs import COMPLETED_JOB, KILLED_JOB, LONG_SLEEP, ORPHANS, SANDBOX, STOPPED_JOB
from integration.container.running import container, container_job, orchestrator

if TYPE_CHECKING:
    from integration.container.engine import Engine

pytestmark = [pytest.mark.integration, pytest.mark.container]

STOP_LIMIT = 8.0
"""Seconds from SIGTERM to the reported end: the worker's grace."""
ENGINE_GRACE = 10
"""Seconds from SIGTERM to SIGKILL, by the contract."""
START_LIMIT = 10.0
"""Seconds for the program to start, which takes under one."""
REAP_LIMIT = 2.0
"""Seconds until zombies are reaped while no process of the job ends and wakes the worker."""
STOPPED = 4
"""The worker's exit code after a signal that it reported."""
KILLED = 128 + 9
LICENCE = "/opt/trioworker/lib/python3*/site-packages/trioworker-*.dist-info/licenses/LICENSE"


def test_image_contains_the_licence(engine: Engine) -> None:
    run = ("run", "--rm", *engine.options, "--entrypoint", "sh", IMAGE)
    assert engine.output(*run, "-c", f"head -1 {LICENCE}") == "MIT License"


def test_program_starts_in_time(engine: Engine) -> None:
    run = (*engine.command, "run", "--rm", *engine.options)
    seconds = seconds_of((*run, IMAGE, "worker", "--help"))
    overhead = seconds_of((*run, "--entrypoint", "true", IMAGE))
    size = int(engine.output("image", "inspect", "--format", "{{.Size}}", IMAGE))
    print(f"image size {size / 1e6:.0f} MB; start {seconds:.2f} s, of which {overhead:.2f} s are the engine's")
    assert size > 0
    assert seconds < START_LIMIT


def test_job_completes_in_the_contracts_sandbox(engine: Engine) -> None:
    with orchestrator(COMPLETED_JOB) as url, container_job(url, engine) as job, container(job, engine) as running:
        assert running.wait_for(lambda: job.view()["state"] != "pending", "worker's first status") < START_LIMIT
        assert running.exit_code() == 0, running.last_lines()
        view = job.view()
        assert view["state"] == "completed", running.last_lines()
        assert view["report"]["success"] is True
        assert view["report"]["iterations"] == len(COMPLETED_JOB)
        lines = job.tool_output(0).splitlines()
        seen = dict(line.split("=", 1) for line in lines if "=" in line)
        assert {name: seen.get(name) for name in SANDBOX} == SANDBOX
        assert seen["root"] == ("ro" if "--read-only" in engine.options else "rw")


def test_stopped_container_is_healthy_reaps_orphans_and_reports_in_time(engine: Engine) -> None:
    with orchestrator(STOPPED_JOB) as url, container_job(url, engine) as job, container(job, engine) as running:
        running.wait_for(lambda: running.runs(LONG_SLEEP), "second tool")
        with suppress(CommandError):  # the zombies are counted below
            running.wait_for(lambda: not running.zombies(), "reaping of all zombies", REAP_LIMIT)
        zombies = running.zombies()
        health: dict[str, Any] = json.loads(engine.output("exec", running.name, "trioworker", "health"))
        assert (health["state"], health["tools"], health["job_id"]) == ("running tool", ["shell"], job.id)
        engine.output("healthcheck", "run", running.name)

        began = time.monotonic()
        engine.output("stop", "--time", str(ENGINE_GRACE), running.name)
        code = running.exit_code()
        seconds = time.monotonic() - began
        assert code == STOPPED, running.last_lines()
        assert seconds < STOP_LIMIT
        assert job.view()["report"] is not None, running.last_lines()

        # PID 1 was the orphans' new parent.
        assert job.tool_output(0).splitlines().count("parent=1") == ORPHANS
        assert zombies == []


def test_second_container_completes_a_killed_job_on_its_volumes(engine: Engine) -> None:
    with orchestrator(KILLED_JOB) as url, container_job(url, engine) as job:
        with container(job, engine) as first:
            first.wait_for(lambda: first.runs(LONG_SLEEP), "tool")
            engine.output("kill", "--signal", "KILL", first.name)
            assert first.exit_code() == KILLED
            assert job.view()["report"] is None
        with container(job, engine) as second:
            assert second.exit_code() == 0, second.last_lines()
            view = job.view()
            assert view["state"] == "completed"
            assert view["report"]["success"] is True
            # The interrupted call is not repeated: the second run is the model's own second call.
            results = job.tool_results()
            assert [("interrupted" in result, "runs=2" in result) for result in results] == [
                (True, False),
                (False, True),
            ]
