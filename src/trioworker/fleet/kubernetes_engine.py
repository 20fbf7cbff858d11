"""Runs workers as Kubernetes Jobs (extra: `kubernetes`): creates them, polls them together, deletes them on a stop.

The cluster restarts pods by the rules of the Job, so the scheduler doesn't (`retries`). A fleet that was killed and is
run again finds its Jobs by their names, and waits for them.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
from loguru import logger

from trioworker.errors import ConfigError
from trioworker.fleet.engine import Attempt, attempt_from_exit
from trioworker.fleet.manifests import LABEL, job_manifest, object_name, secret_manifest
from trioworker.protocol.exit_codes import FAILED, STOPPED, SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.manifests import PodSettings

POLL_INTERVAL = 2.0
"""Seconds between requests for all Jobs."""
REQUEST_TIMEOUT = 60.0
"""Seconds for a request with its retries."""
RETRY_DELAY = 1.0
"""Seconds between attempts of a request."""
CONFLICT, NOT_FOUND = 409, 404
STATUS_BY_EXIT_CODE = {SUCCEEDED: "completed", FAILED: "failed", STOPPED: "cancelled"}
"""The status to assume if the pod's log, with the outcome, is gone."""
TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)


class KubernetesEngine:
    """Creates Jobs in one namespace. `poll_jobs` must run in another task."""

    name = "kubernetes"
    retries = True

    def __init__(self, client: Any, settings: PodSettings) -> None:
        self._client = client
        self._settings = settings
        self._waiting: dict[str, tuple[trio.Event, list[Any]]] = {}

    async def run(self, job: FleetJob, stopping: trio.Event) -> Attempt:
        """See `Engine`."""
        name = object_name(job)
        ended, seen = trio.Event(), list[Any]()
        self._waiting[name] = (ended, seen)
        try:
            await self._create_objects(job)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._stop, job, stopping, nursery.cancel_scope)
                await ended.wait()
                nursery.cancel_scope.cancel()
            if not ended.is_set():
                return Attempt(exit_code=None, message="its Job was deleted when the fleet was stopped")
            return await self._read(job, seen[0])
        except _RequestFailedError as error:
            return Attempt(exit_code=None, message=str(error))
        finally:
            del self._waiting[name]

    async def poll_jobs(self) -> None:
        """Poll all Jobs until cancelled, and wake the tasks whose Job has ended."""
        from lightkube.resources.batch_v1 import Job

        while True:
            await trio.sleep(POLL_INTERVAL)
            # Jobs that are created during the request may be missing in the response.
            expected = set(self._waiting)
            try:
                jobs = await _request_with_retries(lambda: self._list(Job))
            except _RequestFailedError as error:
                logger.warning("the Jobs can't be listed; trying again: {}", error)
                continue
            found = {job.metadata.name: job for job in jobs}
            for name in expected & set(self._waiting):
                ended, seen = self._waiting[name]
                job = found.get(name)
                if job is not None and _has_ended(job):
                    seen.append(job)
                    ended.set()

    async def _list(self, kind: Any, **labels: str) -> list[Any]:
        selector = {LABEL: "trioworker", **labels}
        return [item async for item in self._client.list(kind, namespace=self._settings.namespace, labels=selector)]

    async def _create_objects(self, job: FleetJob) -> None:
        """Create the Job and its Secret, unless an earlier run of the fleet has."""
        from lightkube.resources.batch_v1 import Job
        from lightkube.resources.core_v1 import Secret

        # The types of the client don't accept plain dicts.
        kind: Any = Job
        secret: Any = Secret
        namespace = self._settings.namespace
        made: Any = await self._create(kind.from_dict(job_manifest(job, self._settings)))
        if made is None:
            made = await _request_with_retries(lambda: self._client.get(Job, object_name(job), namespace=namespace))
        await self._create(secret.from_dict(secret_manifest(job, namespace, made.metadata.uid)))

    async def _create(self, wanted: Any) -> Any:
        """Create an object and return it; return None if it exists."""
        try:
            return await _request_with_retries(lambda: self._client.create(wanted))
        except _RequestFailedError as error:
            if error.status == CONFLICT:
                return None
            raise

    async def _stop(self, job: FleetJob, stopping: trio.Event, waiting: trio.CancelScope) -> None:
        """Delete the Job when the fleet is stopped; its pod gets SIGTERM, and time to report."""
        from lightkube.resources.batch_v1 import Job
        from lightkube.types import CascadeType

        await stopping.wait()
        namespace, name = self._settings.namespace, object_name(job)
        try:
            await _request_with_retries(
                lambda: self._client.delete(Job, name, namespace=namespace, cascade=CascadeType.FOREGROUND)
            )
            await self._wait_until_deleted(Job, name)
        except _RequestFailedError as error:
            if error.status != NOT_FOUND:
                logger.warning("job {}: its Job can't be deleted: {}", job.job_id, error)
        waiting.cancel()

    async def _wait_until_deleted(self, kind: Any, name: str) -> None:
        """Poll until the Job is deleted, which is after the end of its pod.

        Raises:
            _RequestFailedError: with the status `NOT_FOUND`, when it is.
        """
        while True:
            await _request_with_retries(lambda: self._client.get(kind, name, namespace=self._settings.namespace))
            await trio.sleep(POLL_INTERVAL)

    async def _read(self, job: FleetJob, ended: Any) -> Attempt:
        """Read the outcome of the last pod of a finished Job."""
        from lightkube.resources.core_v1 import Pod

        label = {"batch.kubernetes.io/job-name": object_name(job)}
        pods = await _request_with_retries(lambda: self._list(Pod, **label))
        count = max(1, (ended.status.failed or 0) + (ended.status.succeeded or 0))
        codes = [(pod, code) for pod in pods if (code := _exit_code(pod)) is not None]
        if not codes:
            if ended.status.succeeded:
                return Attempt(exit_code=0, status="completed", success=True, count=count)
            return Attempt(exit_code=None, message=_reason(ended), count=count)
        # In a Job that succeeded, the pod that did; otherwise the last one that failed.
        pod, code = min(codes, key=lambda one: one[1] != 0) if ended.status.succeeded else max(codes, key=_finished)
        out = await self._last_lines(pod.metadata.name)
        # Above 128: the container was killed by a signal.
        attempt = attempt_from_exit(code if code < 128 else 128 - code, out, b"", pod.spec.nodeName)
        return Attempt(
            exit_code=code if code < 128 else None,
            status=attempt.status or STATUS_BY_EXIT_CODE.get(code),
            success=code == 0 if attempt.success is None else attempt.success,
            message=attempt.message or _reason(ended),
            node=attempt.node,
            count=count,
        )

    async def _last_lines(self, pod: str) -> bytes:
        async def read() -> bytes:
            log = self._client.log(pod, namespace=self._settings.namespace, container="worker", tail_lines=20)
            return "\n".join([line.rstrip("\n") async for line in log]).encode()

        try:
            return await _request_with_retries(read)
        except _RequestFailedError:
            # The exit code is known; only the message is lost with the pod.
            return b""


@asynccontextmanager
async def open_kubernetes_engine(settings: PodSettings) -> AsyncGenerator[KubernetesEngine]:
    """Connect to the cluster of the kubeconfig, or to that of the pod that this process runs in.

    Raises:
        ConfigError: the client is not installed, or no cluster is configured.
    """
    try:
        from lightkube import AsyncClient
        from lightkube.core.exceptions import ConfigError as ClientConfigError
    except ImportError as error:
        raise ConfigError("--engine kubernetes needs a client: pip install 'trioworker[kubernetes]'") from error
    try:
        client: Any = AsyncClient(namespace=settings.namespace)
    except ClientConfigError as error:
        raise ConfigError(f"no Kubernetes cluster is configured: {error}; set KUBECONFIG") from error
    engine = KubernetesEngine(client, settings)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.poll_jobs)
            yield engine
            nursery.cancel_scope.cancel()
    finally:
        with trio.move_on_after(5, shield=True):
            await client.close()


class _RequestFailedError(Exception):
    """A request was refused, or there was no answer in time, for which `status` is 0."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


async def _request_with_retries(request: Callable[[], Awaitable[Any]]) -> Any:
    """Make a request, and retry transient failures.

    Raises:
        _RequestFailedError: the failure is permanent, or lasted for `REQUEST_TIMEOUT`.
    """
    from lightkube.core.exceptions import ApiError

    last = "no response"
    with trio.move_on_after(REQUEST_TIMEOUT):
        while True:
            try:
                return await request()
            except ApiError as error:
                status = error.status.code or error.response.status_code
                if status not in TRANSIENT_STATUSES:
                    raise _RequestFailedError(str(error), status) from error
                last = str(error)
            except OSError as error:
                last = str(error)
            except Exception as error:  # the HTTP library of the client, and so its errors, depend on the version
                if not _is_transport_error(error):
                    raise
                last = str(error) or type(error).__name__
            await trio.sleep(RETRY_DELAY)
    raise _RequestFailedError(last, 0)


def _is_transport_error(error: Exception) -> bool:
    return any(kind.__name__ == "TransportError" for kind in type(error).__mro__)


def _has_ended(job: Any) -> bool:
    return job.status is not None and any(
        condition.type in {"Complete", "Failed"} and condition.status == "True"
        for condition in job.status.conditions or ()
    )


def _reason(job: Any) -> str:
    return next(
        (f"{condition.reason}: {condition.message}" for condition in job.status.conditions if condition.reason),
        "its pod was deleted",
    )


def _exit_code(pod: Any) -> int | None:
    for container in (pod.status and pod.status.containerStatuses) or ():
        if container.name == "worker" and container.state.terminated is not None:
            return container.state.terminated.exitCode
    return None


def _finished(one: tuple[Any, int]) -> Any:
    (container,) = (each for each in one[0].status.containerStatuses if each.name == "worker")
    return container.state.terminated.finishedAt
