"""What a worker makes of the journal that it finds."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio
from starlette.responses import Response

from support.mortal import MortalJob, mortal_job, mortal_office
from support.program import until
from support.promises import broken_promises
from support.world import DONE, calling

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.program import Ended
    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

HELD = calling(("shell", {"command": "echo CALL_ID >> log; while [ ! -e go ]; do sleep 0.05; done; echo went"}))
"""A call that runs until a test lets it go."""


async def test_the_journal_is_for_its_user_alone(store: Store, tmp_path: Path) -> None:
    async with mortal_office(store, [DONE]) as place, mortal_job(place, tmp_path / "job") as job:
        async with job.life() as running:
            assert (await running.ended()).code == 0

        assert job.journal.stat().st_mode & 0o777 == 0o600
        assert job.state_dir.stat().st_mode & 0o777 == 0o700


async def test_a_second_worker_is_kept_off(store: Store, tmp_path: Path) -> None:
    async with mortal_office(store, [HELD, DONE]) as place, mortal_job(place, tmp_path / "job") as job:
        async with job.life() as first:
            await until(lambda: job.lines)
            async with job.life() as second:
                ended = await second.ended()
            assert ended.code == 2
            assert "another worker runs this job" in ended.complaint

            (job.workspace / "go").touch()
            assert (await first.ended()).code == 0
        assert broken_promises(job) == []


@pytest.mark.parametrize(
    ("code", "options", "stop"),
    [(0, (), False), (1, ("--max-iterations", "1"), False), (4, (), True)],
    ids=["completed", "failed", "cancelled"],
)
async def test_a_job_that_is_over_is_told_again_without_a_request(
    code: int, options: tuple[str, ...], stop: bool, store: Store, tmp_path: Path
) -> None:
    async with mortal_office(store, [HELD, DONE]) as place, mortal_job(place, tmp_path / "job") as job:
        async with job.life(*options) as running:
            await until(lambda: job.lines)
            if stop:
                running.program.signal(signal.SIGTERM)
            else:
                (job.workspace / "go").touch()
            first = await running.ended()
        assert first.code == code, first.err
        requests, journal = len(job.proxy.carried), job.journal.read_bytes()

        async with job.life(*options) as running:
            again = await running.ended()

        assert (again.code, _told(again)) == (code, _told(first)), again.err
        assert len(job.proxy.carried) == requests
        assert job.journal.read_bytes() == journal
        assert broken_promises(job) == []


async def test_an_end_that_could_not_be_reported_is_reported_by_the_next_start(store: Store, tmp_path: Path) -> None:
    away = True

    async def unavailable(_: str, path: str) -> Response | None:
        await trio.lowlevel.checkpoint()
        return Response("busy", 503) if away and path in {"event", "complete"} else None

    async with mortal_office(store, [HELD, DONE]) as place, mortal_job(place, tmp_path / "job") as job:
        async with job.life("--grace", "1") as running:
            await until(lambda: job.lines)
            place.intervene = unavailable
            running.program.signal(signal.SIGTERM)
            first = await running.ended()
        assert first.code == 5, first.err

        away = False
        async with job.life() as running:
            again = await running.ended()

        assert again.code == 4, again.err
        assert broken_promises(job) == []
        assert [event.event_type for event in store.events(job.id, 0)][-1] == "result"


def of_another_job(job: MortalJob, other: MortalJob) -> bytes:
    return other.journal.read_bytes()


def of_another_job_and_torn(job: MortalJob, other: MortalJob) -> bytes:
    return other.journal.read_bytes() + b"\x10\0\0\0torn"


def of_a_newer_version(job: MortalJob, other: MortalJob) -> bytes:
    return other.journal.read_bytes().replace(b"journal 2\n", b"journal 3\n", 1)


def no_journal(job: MortalJob, other: MortalJob) -> bytes:
    return b"Dear diary,\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (of_another_job, "is of job"),
        (of_another_job_and_torn, "is of job"),
        (of_a_newer_version, "newer"),
        (no_journal, "not a trioworker journal"),
    ],
)
async def test_what_is_not_this_jobs_journal_is_refused_and_kept(
    content: Callable[[MortalJob, MortalJob], bytes], complaint: str, store: Store, tmp_path: Path
) -> None:
    async with (
        mortal_office(store, [DONE]) as place,
        mortal_job(place, tmp_path / "job") as job,
        mortal_job(place, tmp_path / "other") as other,
    ):
        async with other.life() as running:
            assert (await running.ended()).code == 0
        job.state_dir.mkdir()
        found = content(job, other)
        job.journal.write_bytes(found)

        async with job.life() as running:
            ended = await running.ended()

        assert ended.code == 2, ended.err
        assert complaint in ended.complaint
        assert job.journal.read_bytes() == found
        assert job.proxy.carried == []


async def test_a_torn_tail_is_cut_and_told(store: Store, tmp_path: Path) -> None:
    async with mortal_office(store, [HELD, DONE]) as place, mortal_job(place, tmp_path / "job") as job:
        async with job.life() as running:
            await until(lambda: job.lines)
            running.program.signal(signal.SIGKILL)
            await running.ended()
        whole = job.journal.read_bytes()
        job.journal.write_bytes(whole + whole[-9:])

        (job.workspace / "go").touch()
        async with job.life() as running:
            ended = await running.ended()

        assert ended.code == 0, ended.err
        assert "9 bytes of a torn or damaged tail were cut" in ended.err
        assert job.journal.read_bytes().startswith(whole)
        assert broken_promises(job, deaths=1) == []
        # The call that was killed is asked for again, under another id.
        assert job.lines == ["call_1_1", "call_1_1_1"]


def _told(ended: Ended) -> dict[str, object]:
    return {name: value for name, value in ended.outcome.items() if name != "metrics"}
