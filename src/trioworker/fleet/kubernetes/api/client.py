"""The requests that a fleet makes of the Kubernetes API."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote

import httpx
import trio

from trioworker.fleet.kubernetes.api.log_lines import split_lines
from trioworker.fleet.kubernetes.api.objects import AnyObject, Event, Job, ObjectList, Pod, Secret
from trioworker.fleet.kubernetes.api.refusals import EVENTS, LOG, RequestRefusedError
from trioworker.fleet.kubernetes.api.requests import ApiRequest, ApiRequests
from trioworker.fleet.kubernetes.fixed import JOB_LABEL, SELECTOR

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Mapping

    from trioworker.fleet.kubernetes.api.log_lines import LogLine

CHUNK = 100
"""Jobs in one selector: their ids, about 40 bytes each, must fit in a URL."""
LIMIT = 500
"""Objects in one answer; a job may have several pods."""
LOG_TIMEOUT = 20.0
"""Seconds between two parts of a log, which the API server reads from the node."""
EXPIRED_PAUSE = 1.0
"""Seconds until a list that expired is requested again."""
EVENTS_PAUSE = 60.0
"""Seconds without requests for events after one was refused."""

Item = TypeVar("Item", Job, Pod, Event)
Named = TypeVar("Named", Job, Secret)


class KubernetesClient:
    """Requests in one namespace. Failures that may be temporary are retried until the caller cancels the request.

    Every method raises `RequestRefusedError` if the API refuses a request because of its object, and `ConfigError` if
    it refuses all such requests or could never be reached.
    """

    def __init__(
        self, http: httpx.AsyncClient, namespace: str, notify: Callable[[str], None], source: str = "the kubeconfig"
    ) -> None:
        """`http` has the URL and the login of the API server; `notify` shows a line; `source` names the kubeconfig."""
        self.namespace = namespace
        self._requests = ApiRequests(http, notify, source)
        self._jobs = f"/apis/batch/v1/namespaces/{quote(namespace, safe='')}/jobs"
        self._core = f"/api/v1/namespaces/{quote(namespace, safe='')}"
        self._no_events_before = -float("inf")

    async def create_job(self, manifest: Mapping[str, Any]) -> Job:
        """Create a Job. After a lost response, a conflict (409) may be with this very Job."""
        return await self._requests.fetch(ApiRequest("POST jobs", self._jobs, body=manifest), Job)

    async def job(self, name: str) -> Job | None:
        """Return the Job with this name, or None."""
        return await self._find(ApiRequest("GET job", f"{self._jobs}/{name}"), Job)

    async def jobs(self, job_ids: Collection[str]) -> list[Job]:
        """Return the Jobs of these jobs that exist."""
        return await self._list("GET jobs", self._jobs, Job, job_ids)

    async def delete_job(self, job: Job) -> None:
        """Delete this Job after its pods, which get SIGTERM first. Another Job with the same name is kept."""
        body = {"propagationPolicy": "Foreground", "preconditions": {"uid": job.metadata.uid}}
        await self._delete(ApiRequest("DELETE job", f"{self._jobs}/{job.metadata.name}", body=body))

    async def create_secret(self, manifest: Mapping[str, Any]) -> None:
        """Create a Secret. After a lost response, a conflict (409) may be with this very Secret."""
        await self._requests.fetch(ApiRequest("POST secrets", f"{self._core}/secrets", body=manifest), AnyObject)

    async def secret(self, name: str) -> Secret | None:
        """Return the Secret with this name, or None."""
        return await self._find(ApiRequest("GET secret", f"{self._core}/secrets/{name}"), Secret)

    async def delete_secret(self, secret: Secret) -> None:
        """Delete this Secret. Another one with the same name is kept."""
        body = {"preconditions": {"uid": secret.metadata.uid}}
        await self._delete(ApiRequest("DELETE secret", f"{self._core}/secrets/{secret.metadata.name}", body=body))

    async def pods(self, job_ids: Collection[str]) -> list[Pod]:
        """Return the pods of these jobs."""
        return await self._list("GET pods", f"{self._core}/pods", Pod, job_ids)

    async def events(self, kind: Literal["Job", "Pod"], name: str | None = None) -> list[Event]:
        """Return the warnings about the Jobs or pods of the namespace, or about one of them.

        Without the permission to list events, it returns none.
        """
        if trio.current_time() < self._no_events_before:
            return []
        selector = f"type=Warning,involvedObject.kind={kind}" + (f",involvedObject.name={name}" if name else "")
        try:
            return await self._pages(EVENTS, f"{self._core}/events", Event, {"fieldSelector": selector})
        except RequestRefusedError:
            self._no_events_before = trio.current_time() + EVENTS_PAUSE
            return []

    async def last_lines(self, pod: str, count: int) -> bytes:
        """Return the last lines of a worker's log; none if the log is gone, with its pod or node."""
        params = {"container": "worker", "tailLines": str(count)}
        request = ApiRequest(LOG, self._log(pod), params=params, read_timeout=LOG_TIMEOUT)
        try:
            return await self._requests.fetch_bytes(request)
        except RequestRefusedError:
            return b""

    @asynccontextmanager
    async def follow_log(self, pod: str, since: str = "") -> AsyncGenerator[AsyncGenerator[LogLine]]:
        """Open the worker's log at its beginning, or after the time `since` of a line; yield lines as they are written.

        The lines end with the worker, and also if the connection fails: reopen the log unless the pod has ended.
        `RequestRefusedError`: the pod or its node is gone, or its worker hasn't started.
        """
        params = {"container": "worker", "follow": "true", "timestamps": "true"}
        if since:
            params["sinceTime"] = since
        request = ApiRequest(LOG, self._log(pod), params=params, read_timeout=None)
        async with (
            self._requests.stream(request) as response,
            aclosing(split_lines(_received(response), since)) as lines,
        ):
            yield lines

    def _log(self, pod: str) -> str:
        return f"{self._core}/pods/{pod}/log"

    async def _list(self, operation: str, path: str, kind: type[Item], job_ids: Collection[str]) -> list[Item]:
        ordered = sorted(job_ids)
        found: list[Item] = []
        for start in range(0, len(ordered), CHUNK):
            names = ",".join(ordered[start : start + CHUNK])
            selector = f"{SELECTOR},{JOB_LABEL} in ({names})"
            found += await self._pages(operation, path, kind, {"labelSelector": selector})
        return found

    async def _pages(self, operation: str, path: str, kind: type[Item], selector: Mapping[str, str]) -> list[Item]:
        """Return the objects of a selector, which come in pages."""
        found: list[Item] = []
        params = {**selector, "limit": str(LIMIT)}
        while True:
            request = ApiRequest(operation, path, params=params)
            try:
                page = await self._requests.fetch(request, ObjectList[kind])
            except RequestRefusedError as error:
                if error.status != 410:
                    raise
                # The continuation expired before its request was sent: list everything in one answer.
                found, params = [], {**selector}
                await trio.sleep(EXPIRED_PAUSE)
                continue
            found += page.items or ()
            if not page.metadata.continue_:
                return found
            params["continue"] = page.metadata.continue_

    async def _find(self, request: ApiRequest, kind: type[Named]) -> Named | None:
        try:
            return await self._requests.fetch(request, kind)
        except RequestRefusedError as error:
            if error.status == 404:
                return None
            raise

    async def _delete(self, request: ApiRequest) -> None:
        try:
            await self._requests.fetch(request, AnyObject)
        except RequestRefusedError as error:
            # 404: the object is gone. 409: another object has taken its name.
            if error.status not in {404, 409}:
                raise


async def _received(response: httpx.Response) -> AsyncGenerator[bytes]:
    """The parts of the body, up to the point at which the connection fails."""
    try:
        async for chunk in response.aiter_bytes():
            yield chunk
    except httpx.RequestError:
        return
