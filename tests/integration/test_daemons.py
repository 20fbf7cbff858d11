"""Commands that leave processes behind or attack the worker: each job is reported, and no process outlives it.

`TRIOWORKER_TEST_REPEATS=20` runs each kind of process 20 times.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from support.daemons import DAEMONS, HARM
from support.realjob import real_orchestrator, real_worker
from support.users import LIBRARIES, as_each_user, home_of, python_for
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from support.realjob import RealJob
    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

REPEATS = int(os.environ.get("TRIOWORKER_TEST_REPEATS", "1"))
GROUP_COUNT = 4
"""Jobs that share the kinds of processes: a job leaves several kinds, to save time."""
SILENCE = 0.5
"""Seconds in which a process that is alive would have added to its file."""


@asynccontextmanager
async def job_with(
    store: Store, become: tuple[str, ...], commands: dict[str, str], *options: str
) -> AsyncGenerator[RealJob]:
    """A job of the user that runs these commands, each in a folder of its name."""
    python = python_for(become)
    turns = [call("shell", command=f"mkdir '{name}'; cd '{name}'\n{command}") for name, command in commands.items()]
    with home_of(become) as home:
        async with (
            real_orchestrator(store, [*turns, DONE]) as orchestrator,
            real_worker(
                orchestrator,
                home / "workspace",
                *options,
                granted={"TEST_PYTHON": python, **LIBRARIES},
                environment={"HOME": str(home), **LIBRARIES},
                prefix=become,
                python=python,
            ) as job,
        ):
            yield job


async def assert_reported_and_alone(job: RealJob) -> None:
    ended = await job.ended()
    assert ended.code == 0, ended.err
    assert job.report.success
    assert job.survivors() == {}
    before = beats(job.workspace)
    await trio.sleep(SILENCE)
    assert beats(job.workspace) == before, ended.err


def beats(workspace: Path) -> dict[str, int]:
    """The size of each file by which a process shows that it is alive."""
    return {file.parent.name: file.stat().st_size for file in workspace.glob("*/beat")}


@as_each_user
@pytest.mark.parametrize("group", range(GROUP_COUNT))
@pytest.mark.parametrize("repeat", range(REPEATS))
async def test_no_process_outlives_its_job(store: Store, become: tuple[str, ...], group: int, repeat: int) -> None:
    kinds = list(DAEMONS)[group::GROUP_COUNT]
    # To save time, each user has a half of the groups with a sandbox, the other user has the other half.
    containment = "off" if (group + repeat + bool(become)) % 2 else "auto"
    commands = {kind: DAEMONS[kind] for kind in kinds}
    async with job_with(store, become, commands, "--containment", containment) as job:
        await assert_reported_and_alone(job)
        assert beats(job.workspace).keys() == commands.keys(), job.of_type("tool_result")


@as_each_user
async def test_no_command_ends_or_stops_the_worker(store: Store, become: tuple[str, ...]) -> None:
    async with job_with(store, become, HARM) as job:
        await assert_reported_and_alone(job)
        outputs = [result["output"] for result in job.of_type("tool_result")]
    assert len(outputs) == len(HARM)
    assert all("not permitted" in output for output in outputs)
