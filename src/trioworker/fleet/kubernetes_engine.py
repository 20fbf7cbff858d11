"""Workers as Kubernetes Jobs (extra: `kubernetes`): made, looked at all together, and removed on a stop.

The cluster starts pods again by the Job's own rules, so the fleet does not (`retries`). A fleet that was killed finds
its Jobs by their names when it runs again, and waits for them.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
from loguru import logger

from trioworker.errors import ConfigError
from trioworker.fleet.engine import Attempt, attempt_of
from trioworker.fleet.manifests import LABEL, job_manifest, name_of, secret_manifest
from trioworker.protocol.exit_codes import FAILED, STOPPED, SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.manifests import PodPlan

LOOK_EVERY = 2.0
"""Seconds between two looks at all Jobs; one request serves a thousand."""
PATIENCE = 60.0
"""Seconds for a request with its retries; after that the look is skipped, or the job's start has failed."""
PAUSE = 1.0
CONFLICT, NOT_FOUND = 409, 404
_STATUSES = {SUCCEEDED: "completed", FAILED: "failed", STOPPED: "cancelled"}
"""What an exit code tells where the pod's log is gone."""
PASSING = (408, 425, 429, 500, 502, 503, 504)


class KubernetesEngine:
    """Makes Jobs in one namespace. `follow` must run beside."""

    name = "kubernetes"
    retries = True

    def __init__(self, client: Any, plan: PodPlan) -> None:
        self._client = client
        self._plan = plan
        self._waiting: dict[str, tuple[trio.Event, list[Any]]] = {}

    async def run(self, job: FleetJob, stopping: trio.Event) -> Attempt:
        """See `Engine`."""
        name = name_of(job)
        ended, seen = trio.Event(), list[Any]()
        self._waiting[name] = (ended, seen)
        try:
            await self._make(job)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._stop, job, stopping, nursery.cancel_scope)
                await ended.wait()
                nursery.cancel_scope.cancel()
            if not ended.is_set():
                return Attempt(exit_code=None, message="its Job was removed by the stop")
            return await self._read(job, seen[0])
        except _RefusedError as error:
            return Attempt(exit_code=None, message=str(error))
        finally:
            del self._waiting[name]

    async def follow(self) -> None:
        """Look at all Jobs, for ever, and wake those who wait for one that has ended or is gone."""
        from lightkube.resources.batch_v1 import Job

        while True:
            await trio.sleep(LOOK_EVERY)
            # One that is made during the look may be missing in it.
            expected = set(self._waiting)
            try:
                jobs = await _patient(lambda: self._list(Job))
            except _RefusedError as error:
                logger.warning("the Jobs can't be listed: {}", error)
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
        return [item async for item in self._client.list(kind, namespace=self._plan.namespace, labels=selector)]

    async def _make(self, job: FleetJob) -> None:
        """Make the Job and its Secret; those of an earlier fleet will do."""
        from lightkube.resources.batch_v1 import Job
        from lightkube.resources.core_v1 import Secret

        # Their generated types know no dict's contents.
        kind: Any = Job
        secret: Any = Secret
        namespace = self._plan.namespace
        made: Any = await self._create(kind.from_dict(job_manifest(job, self._plan)))
        if made is None:
            made = await _patient(lambda: self._client.get(Job, name_of(job), namespace=namespace))
        await self._create(secret.from_dict(secret_manifest(job, namespace, made.metadata.uid)))

    async def _create(self, wanted: Any) -> Any:
        """What was made; None: it is there already."""
        try:
            return await _patient(lambda: self._client.create(wanted))
        except _RefusedError as error:
            if error.status == CONFLICT:
                return None
            raise

    async def _stop(self, job: FleetJob, stopping: trio.Event, waiting: trio.CancelScope) -> None:
        """Remove the Job: its pod gets SIGTERM, and the grace to report."""
        from lightkube.resources.batch_v1 import Job
        from lightkube.types import CascadeType

        await stopping.wait()
        namespace, name = self._plan.namespace, name_of(job)
        try:
            await _patient(lambda: self._client.delete(Job, name, namespace=namespace, cascade=CascadeType.FOREGROUND))
            await self._gone(Job, name)
        except _RefusedError as error:
            if error.status != NOT_FOUND:
                logger.warning("job {}: its Job can't be removed: {}", job.job_id, error)
        waiting.cancel()

    async def _gone(self, kind: Any, name: str) -> None:
        """Wait until the Job is gone, and with it the pod and its farewell."""
        while True:
            await _patient(lambda: self._client.get(kind, name, namespace=self._plan.namespace))
            await trio.sleep(LOOK_EVERY)

    async def _read(self, job: FleetJob, ended: Any) -> Attempt:
        """How the last pod of a Job that has ended did."""
        from lightkube.resources.core_v1 import Pod

        label = {"batch.kubernetes.io/job-name": name_of(job)}
        pods = await _patient(lambda: self._list(Pod, **label))
        count = max(1, (ended.status.failed or 0) + (ended.status.succeeded or 0))
        codes = [(pod, code) for pod in pods if (code := _exit_code(pod)) is not None]
        if not codes:
            if ended.status.succeeded:
                return Attempt(exit_code=0, status="completed", success=True, count=count)
            return Attempt(exit_code=None, message=_reason(ended), count=count)
        # A Job that succeeded has failures before; among those the last one counts.
        pod, code = min(codes, key=lambda one: one[1] != 0) if ended.status.succeeded else max(codes, key=_finished)
        out = await self._last_lines(pod.metadata.name)
        # 128 and a signal: the container was killed.
        attempt = attempt_of(code if code < 128 else 128 - code, out, b"", pod.spec.nodeName)
        return Attempt(
            exit_code=code if code < 128 else None,
            status=attempt.status or _STATUSES.get(code),
            success=code == 0 if attempt.success is None else attempt.success,
            message=attempt.message or _reason(ended),
            node=attempt.node,
            count=count,
        )

    async def _last_lines(self, pod: str) -> bytes:
        async def read() -> bytes:
            log = self._client.log(pod, namespace=self._plan.namespace, container="worker", tail_lines=20)
            return "\n".join([line.rstrip("\n") async for line in log]).encode()

        try:
            return await _patient(read)
        except _RefusedError:
            # The outcome is known by its code; its words are gone with the pod.
            return b""


@asynccontextmanager
async def kubernetes_cluster(plan: PodPlan) -> AsyncGenerator[KubernetesEngine]:
    """The cluster that the kubeconfig, or the pod that we run in, names.

    Raises:
        ConfigError: the client is not installed, or no cluster is named.
    """
    try:
        from lightkube import AsyncClient
        from lightkube.core.exceptions import ConfigError as ClientConfigError
    except ImportError as error:
        raise ConfigError("--engine kubernetes needs a client: pip install 'trioworker[kubernetes]'") from error
    try:
        client: Any = AsyncClient(namespace=plan.namespace)
    except ClientConfigError as error:
        raise ConfigError(f"no Kubernetes cluster is known: {error}; set KUBECONFIG") from error
    engine = KubernetesEngine(client, plan)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.follow)
            yield engine
            nursery.cancel_scope.cancel()
    finally:
        with trio.move_on_after(5, shield=True):
            await client.close()


class _RefusedError(Exception):
    """The API refused, or did not answer in time; `status` is 0 then."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


async def _patient(request: Callable[[], Awaitable[Any]]) -> Any:
    """The answer to a request, made again while what stands against it may pass.

    Raises:
        _RefusedError: it won't pass, or did not within `PATIENCE`.
    """
    from lightkube.core.exceptions import ApiError

    last = "no answer"
    with trio.move_on_after(PATIENCE):
        while True:
            try:
                return await request()
            except ApiError as error:
                status = error.status.code or error.response.status_code
                if status not in PASSING:
                    raise _RefusedError(str(error), status) from error
                last = str(error)
            except OSError as error:
                last = str(error)
            except Exception as error:  # the client's HTTP library differs by its version, and so do its errors
                if not _is_transport_error(error):
                    raise
                last = str(error) or type(error).__name__
            await trio.sleep(PAUSE)
    raise _RefusedError(last, 0)


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
        "its pod is gone",
    )


def _exit_code(pod: Any) -> int | None:
    for container in (pod.status and pod.status.containerStatuses) or ():
        if container.name == "worker" and container.state.terminated is not None:
            return container.state.terminated.exitCode
    return None


def _finished(one: tuple[Any, int]) -> Any:
    (container,) = (each for each in one[0].status.containerStatuses if each.name == "worker")
    return container.state.terminated.finishedAt
