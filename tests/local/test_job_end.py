"""Whether a job without a report has ended, or is kept to be resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import pytest

from trioworker.local.config import LocalConfig
from trioworker.local.job_end import end_or_keep
from trioworker.local.opening import OpenJob, open_local_job
from trioworker.orchestrator.state_files import database_path
from trioworker.orchestrator.store import Store
from trioworker.protocol.exit_codes import BAD_USAGE, INTERRUPTED, NO_ORCHESTRATOR, UNREPORTED

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.local.worker_process import WorkerProcess


class EndedWorker(NamedTuple):
    """What is left of a worker process."""

    died: bool
    deaths: int = 1


KILLED = 128 + 9


@pytest.mark.parametrize(
    ("code", "died", "resumed", "stopped", "ends", "state"),
    [
        (KILLED, True, False, False, INTERRUPTED, "pending"),
        (UNREPORTED, True, True, False, INTERRUPTED, "pending"),
        (BAD_USAGE, False, False, False, BAD_USAGE, "failed"),
        (BAD_USAGE, False, True, False, BAD_USAGE, "pending"),
        (NO_ORCHESTRATOR, False, False, False, NO_ORCHESTRATOR, "failed"),
        (KILLED, False, False, True, KILLED, "cancelled"),
        (KILLED, True, False, True, KILLED, "cancelled"),
        (KILLED, False, True, True, KILLED, "cancelled"),
    ],
)
async def test_a_job_without_a_report_ends_or_is_kept(
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
    code: int,
    died: bool,
    resumed: bool,
    stopped: bool,
    ends: int,
    state: str,
) -> None:
    config = LocalConfig(text="Fix it.", workspace=workspace, llm="script:none", state_dir=workspace.parent)
    with Store(database_path(workspace.parent)) as store:
        job = (await open_local_job(config, store))._replace(resumed=resumed)
        with job.lock:
            worker = cast("WorkerProcess", EndedWorker(died))
            assert await end_or_keep(config, store, job, worker, code, stopped=stopped) == ends
        view = store.view(job.id)
    assert view is not None
    assert view.state == state
    assert job.lock.ended is (state != "pending")
    hint = f"run the same command again, or `trioworker local --resume {job.id[:8]}`"
    assert (hint in capsys.readouterr().err) is (state == "pending")


async def test_a_job_that_new_started_is_resumed_by_its_id_only(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = LocalConfig(text="Fix it.", workspace=workspace, llm="script:none", state_dir=workspace.parent, new=True)
    with Store(database_path(workspace.parent)) as store:
        job: OpenJob = await open_local_job(config, store)
        with job.lock:
            await end_or_keep(config, store, job, cast("WorkerProcess", EndedWorker(True)), KILLED, stopped=False)
    assert capsys.readouterr().err.endswith(
        f"has not ended; to resume it, use `trioworker local --resume {job.id[:8]}`\n"
    )
