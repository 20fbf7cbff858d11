"""The engine of this machine: what it refuses, and workers that the kernel doesn't start."""

from __future__ import annotations

import os
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from trioworker.errors import ConfigError
from trioworker.fleet.engine import NotStartedError
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.process_engine import open_process_engine

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextmanager
def open_files_limit(soft: int) -> Generator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_too_many_workers_for_the_limit_of_open_files_are_refused() -> None:
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with (
        open_files_limit(256),
        pytest.raises(
            ConfigError, match=rf"^--parallel: {limit} workers need \d+ open files, but the limit is {limit}; "
        ),
    ):
        async with open_process_engine(None, limit):
            pass


async def test_limit_of_open_files_is_raised() -> None:
    with open_files_limit(256):
        async with open_process_engine(None, 200):
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            assert soft == hard


async def test_job_is_not_started_without_a_descriptor_for_its_output(tmp_path: Path) -> None:
    job = FleetJob(
        job_id="x", token="x", orchestrator_url="http://127.0.0.1:1", workspace=str(tmp_path), worker_options=()
    )
    async with open_process_engine(None, 1) as engine:
        with (
            open_files_limit(len(os.listdir("/proc/self/fd")) - 1),
            pytest.raises(NotStartedError, match="the worker did not start: Too many open files"),
        ):
            await engine.run(job, trio.Event())
