"""The requests that a fleet makes of the Kubernetes API, with retries."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import httpx
import msgspec
import trio

from trioworker.fleet.kubernetes.log_lines import split_lines
from trioworker.fleet.kubernetes.manifests import JOB_LABEL, LABEL
from trioworker.fleet.kubernetes.objects import Event, Job, ObjectList, Pod, Secret, Status

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Mapping

    from trioworker.fleet.kubernetes.log_lines import LogLine

REQUEST_TIMEOUT = 60.0
"""Seconds for each step of a request."""
RETRY_DELAY = 1.0
"""Seconds between attempts of a request."""
TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)
CHUNK = 100
"""Objects in one list: the names in the selector, about 40 bytes each, must fit in a URL."""

Item = TypeVar("Item", Job, Pod, Event)


class RequestRefusedError(Exception):
    """The API refused a request, and the same request won't pass.

    Attributes:
        status: the HTTP status.
        reason: the API's name for it, such as `AlreadyExists`, or "".
    """

    def __init__(self, message: str, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class KubernetesClient:
    """Requests in one namespace. Transient failures are retried until the caller cancels the request.

    Every method raises `RequestRefusedError` for any other failure.
    """

    def __init__(self, http: httpx.AsyncClient, namespace: str, notify: Callable[[str], None]) -> None:
        """`http` has the URL and the login of the API server; `notify` shows a line."""
        self._http = http
        self.namespace = namespace
        self._notify = notify
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._core = f"/api/v1/namespaces/{namespace}"

    async def create_job(self, manifest: Mapping[str, Any]) -> Job:
        """Create a Job."""
        return msgspec.json.decode(await self._send("POST", self._jobs, body=manifest), type=Job)

    async def job(self, name: str) -> Job | None:
        """Return the Job with this name, or None."""
        found = await self._find(f"{self._jobs}/{name}")
        return None if found is None else msgspec.json.decode(found, type=Job)

    async def jobs(self, job_ids: Collection[str]) -> list[Job]:
        """Return the Jobs of these jobs that exist."""
        return await self._list(self._jobs, Job, job_ids)

    async def delete_job(self, job: Job) -> None:
        """Delete this Job after its pods, which get SIGTERM first. Another one of the same name stays."""
        body = {"propagationPolicy": "Foreground", "preconditions": {"uid": job.metadata.uid}}
        await self._delete(f"{self._jobs}/{job.metadata.name}", body)

    async def create_secret(self, manifest: Mapping[str, Any]) -> None:
        """Create a Secret."""
        await self._send("POST", f"{self._core}/secrets", body=manifest)

    async def secret(self, name: str) -> Secret | None:
        """Return the Secret with this name, or None."""
        found = await self._find(f"{self._core}/secrets/{name}")
        return None if found is None else msgspec.json.decode(found, type=Secret)

    async def delete_secret(self, secret: Secret) -> None:
        """Delete this Secret. Another one of the same name stays."""
        await self._delete(
            f"{self._core}/secrets/{secret.metadata.name}", {"preconditions": {"uid": secret.metadata.uid}}
        )

    async def pods(self, job_ids: Collection[str]) -> list[Pod]:
        """Return the pods of these jobs."""
        return await self._list(f"{self._core}/pods", Pod, job_ids)

    async def last_lines(self, pod: str, count: int) -> bytes:
        """Return the last lines of a worker's log, or nothing if the log is gone with the pod or its node."""
        params = {"container": "worker", "tailLines": str(count)}
        try:
            return await self._send("GET", f"{self._core}/pods/{pod}/log", params=params)
        except RequestRefusedError:
            return b""

    async def events(self, kind: Literal["Job", "Pod"], name: str | None = None) -> list[Event]:
        """Return the warnings about the Jobs or pods of the namespace, or about one of them.

        Without the right to list events, there are none.
        """
        selector = f"type=Warning,involvedObject.kind={kind}" + (f",involvedObject.name={name}" if name else "")
        try:
            content = await self._send("GET", f"{self._core}/events", params={"fieldSelector": selector})
        except RequestRefusedError:
            return []
        return list(msgspec.json.decode(content, type=ObjectList[Event]).items)

    @asynccontextmanager
    async def follow_log(self, pod: str, since: str = "") -> AsyncGenerator[AsyncGenerator[LogLine]]:
        """Open the worker's log from its beginning, or after the time `since` of a line; its lines follow as written.

        The lines end when the worker does, and also when the connection fails: open the log again, unless the pod has
        ended.

        Raises:
            RequestRefusedError: the pod is gone (404), or its worker hasn't started (400).
        """
        params = {"container": "worker", "follow": "true", "timestamps": "true"}
        if since:
            params["sinceTime"] = since
        timeout = httpx.Timeout(REQUEST_TIMEOUT, read=None)
        async with self._http.stream("GET", f"{self._core}/pods/{pod}/log", params=params, timeout=timeout) as response:
            if not response.is_success:
                await response.aread()
                raise _refusal(response)
            async with aclosing(split_lines(_received(response), since)) as lines:
                yield lines

    async def _list(self, path: str, kind: type[Item], job_ids: Collection[str]) -> list[Item]:
        ordered = sorted(job_ids)
        found: list[Item] = []
        for start in range(0, len(ordered), CHUNK):
            names = ",".join(ordered[start : start + CHUNK])
            params = {"labelSelector": f"{LABEL}=trioworker,{JOB_LABEL} in ({names})"}
            chunk: ObjectList[Item] = msgspec.json.decode(
                await self._send("GET", path, params=params), type=ObjectList[kind]
            )
            found += chunk.items
        return found

    async def _find(self, path: str) -> bytes | None:
        try:
            return await self._send("GET", path)
        except RequestRefusedError as error:
            if error.status == 404:
                return None
            raise

    async def _delete(self, path: str, body: Mapping[str, Any]) -> None:
        try:
            await self._send("DELETE", path, body=body)
        except RequestRefusedError as error:
            # 404: it is deleted. 409: another object has taken its name.
            if error.status not in {404, 409}:
                raise

    async def _send(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Any = None
    ) -> bytes:
        content = None if body is None else msgspec.json.encode(body)
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        while True:
            try:
                response = await self._http.request(method, path, params=params, content=content, headers=headers)
            except httpx.TransportError:
                await trio.sleep(RETRY_DELAY)
                continue
            if response.is_success:
                return response.content
            if response.status_code not in TRANSIENT_STATUSES:
                raise _refusal(response)
            await trio.sleep(RETRY_DELAY)


async def _received(response: httpx.Response) -> AsyncGenerator[bytes]:
    """The parts of the body, up to where the connection fails."""
    with suppress(httpx.TransportError):
        async for chunk in response.aiter_bytes():
            yield chunk


def _refusal(response: httpx.Response) -> RequestRefusedError:
    """Make an error from the API's Status, or from the text of something in front of it."""
    try:
        status = msgspec.json.decode(response.content, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        status = Status(message=response.text[:300])
    return RequestRefusedError(status.message or response.reason_phrase, response.status_code, status.reason)
