"""Creates the Job of a job and its Secret, or takes over those of another fleet, which ran earlier or runs now.

All fleets with the same job use the same names, so that the API lets only one of them create each object. Objects are
deleted by their uid: one that another fleet has created in the meantime is kept.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import trio

from trioworker.errors import ConfigError
from trioworker.fleet.engine import NotStartedError
from trioworker.fleet.kubernetes.api.refusals import RequestRefusedError
from trioworker.fleet.kubernetes.fixed import object_name
from trioworker.fleet.kubernetes.manifests.job import job_manifest, secret_manifest

if TYPE_CHECKING:
    from trioworker.fleet.display import Observer
    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.kubernetes.api.client import KubernetesClient
    from trioworker.fleet.kubernetes.api.objects import Job
    from trioworker.fleet.kubernetes.manifests.settings import PodSettings

CONFLICT = 409
CLEANUP_TIMEOUT = 5.0
"""Seconds for the deletion of a half-made Job when the fleet ends."""
DELETION_INTERVAL = 1.0
"""Seconds between two checks whether a deleted Job is gone."""
RACE_INTERVAL = 1.0
"""Seconds before another attempt to create an object that existed, but can't be found."""
SLOW_DELETION = 10.0
"""Seconds after which a pending deletion is reported as the reason for waiting."""
BEING_DELETED = "its Job is being deleted"
"""Why a job waits."""


class Placed(NamedTuple):
    """The Job of a job; `is_new` if this fleet has just created it."""

    job: Job
    is_new: bool


class JobCreator:
    """Creates and deletes Jobs in the client's namespace."""

    def __init__(self, client: KubernetesClient, settings: PodSettings, observer: Observer) -> None:
        self._client = client
        self._settings = settings
        self._observer = observer

    async def place(self, job: FleetJob, attempts: int) -> Placed:
        """Return the Job that exists, or a new one for `attempts` workers, with the job's Secret.

        One that has ended or whose deletion is under way is returned as it is. A new one is deleted again if its
        Secret can't be made.

        Raises:
            NotStartedError: an object with its name isn't a fleet's.
            ConfigError: the API refuses the objects.
        """
        new: Job | None = None
        try:
            while True:
                new = await self._create(job, attempts)
                placed = new or await self.find(job)
                if placed is None:
                    # It was deleted after the attempt to create it.
                    await trio.sleep(RACE_INTERVAL)
                    continue
                if placed.end is not None or placed.metadata.deletion_timestamp is not None:
                    return Placed(placed, is_new=False)
                if await self._place_secret(job, placed):
                    return Placed(placed, is_new=new is not None)
        except BaseException:
            with trio.move_on_after(CLEANUP_TIMEOUT, shield=True), suppress(ConfigError, RequestRefusedError):
                await self._delete_half_made(job, new)
            raise

    async def find(self, job: FleetJob) -> Job | None:
        """Return the Job of this job, if there is one.

        Raises:
            NotStartedError: the Job with its name isn't a fleet's.
        """
        found = await self._client.job(object_name(job))
        if found is not None and found.metadata.job_id != job.job_id:
            raise self._foreign("Job", job)
        return found

    async def delete(self, job: FleetJob, made: Job) -> None:
        """Delete a Job, and wait until it is gone with its pods."""
        await self._client.delete_job(made)
        told, started_at = False, trio.current_time()
        while True:
            found = await self._client.job(made.metadata.name)
            if found is None or found.metadata.uid != made.metadata.uid:
                break
            if not told and trio.current_time() >= started_at + SLOW_DELETION:
                told = True
                self._observer.waiting(job, BEING_DELETED)
            await trio.sleep(DELETION_INTERVAL)
        if told:
            self._observer.waiting(job, None)

    async def _create(self, job: FleetJob, attempts: int) -> Job | None:
        """Create the Job, or return None if one with its name exists."""
        settings = msgspec.structs.replace(self._settings, attempts=attempts)
        try:
            return await self._client.create_job(job_manifest(job, settings))
        except RequestRefusedError as error:
            if error.status != CONFLICT:
                raise
        return None

    async def _place_secret(self, job: FleetJob, placed: Job) -> bool:
        """Create the Secret, unless the Job has it. Return False if the Job has been deleted meanwhile."""
        while True:
            try:
                await self._client.create_secret(secret_manifest(job, placed.metadata.uid))
            except RequestRefusedError as error:
                if error.status != CONFLICT:
                    raise
            else:
                return True
            found = await self._client.secret(object_name(job))
            if found is None:
                await trio.sleep(RACE_INTERVAL)
                continue
            if found.metadata.job_id != job.job_id:
                raise self._foreign("Secret", job)
            if found.metadata.is_owned_by(placed.metadata):
                if found.token == job.token:
                    return True
            else:
                # Its owner is an older Job, or a newer one, which another fleet created after ours was deleted. An
                # owner is created before its Secret, so this request tells which.
                current = await self._client.job(object_name(job))
                if current is None or current.metadata.uid != placed.metadata.uid:
                    return False
            await self._client.delete_secret(found)

    async def _delete_half_made(self, job: FleetJob, new: Job | None) -> None:
        """Delete a Job without a Secret, whose pod would wait for the Secret forever."""
        if new is None:
            # The request to create it may have succeeded although its response was lost.
            found = await self._client.job(object_name(job))
            if found is None or found.metadata.job_id != job.job_id or found.end is not None:
                return
            if await self._client.secret(object_name(job)) is not None:
                return
            new = found
        await self._client.delete_job(new)

    def _foreign(self, kind: str, job: FleetJob) -> NotStartedError:
        return NotStartedError(
            f"the {kind} {object_name(job)} in the namespace {self._client.namespace} does not belong"
            " to a fleet; delete it, and run the fleet again"
        )
