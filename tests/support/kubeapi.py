"""A fake Kubernetes API that tests script: one namespace, its objects, and pods that end as a test says.

It serves as an ASGI application: in-process by `httpx.ASGITransport`, also under virtual time, or over real HTTP.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import msgspec
import trio
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from support.kubepods import Object, PodScript, count_end, outcome
from trioworker.fleet.kubernetes.fixed import JOB_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

NAMESPACE = "jobs"
KINDS = {"jobs": "Job", "secrets": "Secret", "pods": "Pod", "events": "Event"}
START = datetime(2026, 1, 1, tzinfo=UTC)


class Failure(msgspec.Struct, kw_only=True):
    """Answers the next `times` requests that match `pattern`, such as `POST .*/secrets`, in place of the API."""

    pattern: re.Pattern[str]
    status: int
    body: str
    headers: dict[str, str]
    times: float


class KubeApi:
    """The API. A Job's pods follow the scripts one after another; the last one repeats.

    Attributes:
        objects: the Jobs, Secrets, Pods and Events by kind and name; tests may add, change and remove some.
        requests: all requests, as `METHOD path`.
        scripts: those of single jobs, by the job's id; other jobs have the scripts given to the constructor.
        deletion_seconds: how long a Job that is deleted stays, with a deletionTimestamp.
    """

    def __init__(self, *scripts: PodScript) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.requests: list[str] = []
        self.scripts: dict[str, tuple[PodScript, ...]] = {}
        self.deletion_seconds = 0.0
        self._default: tuple[PodScript, ...] = scripts or (PodScript(log=outcome()),)
        self._logs: dict[str, str] = {}
        self._gone_at: dict[str, float] = {}
        self._failures: list[Failure] = []
        self._count = 0
        self._began: float | None = None

    def client(self) -> httpx.AsyncClient:
        """A client in this process."""
        transport = httpx.ASGITransport(self.app(), raise_app_exceptions=True)
        return httpx.AsyncClient(transport=transport, base_url="http://kubernetes.test")

    def app(self) -> Starlette:
        """The API as an application."""
        routes = [
            Route(
                f"{prefix}/namespaces/{NAMESPACE}/{{kind:str}}{{name:path}}",
                self._answer,
                methods=["GET", "POST", "DELETE"],
            )
            for prefix in ("/apis/batch/v1", "/api/v1")
        ]
        return Starlette(routes=routes)

    def of(self, kind: str) -> list[Object]:
        """Return the objects of a kind as they are now."""
        self._advance()
        return [item for (each, _), item in self.objects.items() if each == kind]

    def fail(
        self,
        status: int,
        body: str = "",
        *,
        pattern: str = "",
        headers: Mapping[str, str] | None = None,
        times: float = 1,
    ) -> None:
        """Answer the next requests that match with this status; `times` may be infinite. See `recover`.

        Without a body, the answer is the API's own `Status`.
        """
        self._failures.append(
            Failure(pattern=re.compile(pattern), status=status, body=body, headers=dict(headers or {}), times=times)
        )

    def recover(self) -> None:
        """Answer all requests again."""
        self._failures.clear()

    def add(self, item: Object) -> Object:
        """Create an object as the API does: with a uid, a resourceVersion and its time, and Secrets in Base64."""
        stored = self._store(item)
        self._advance()
        return stored

    def delete(self, kind: str, name: str) -> None:
        """Delete an object with those that it owns; a Job goes when its deletion is over."""
        item = self.objects[kind, name]
        if kind != "Job" or not self.deletion_seconds:
            self._remove(kind, name)
        elif name not in self._gone_at:
            item["metadata"]["deletionTimestamp"] = self._time()
            self._gone_at[name] = trio.current_time() + self.deletion_seconds

    def _store(self, item: Object) -> Object:
        self._count += 1
        if item["kind"] == "Secret":
            item["data"] = {name: _base64(value) for name, value in item.pop("stringData", {}).items()}
        meta: Object = {"uid": f"uid-{self._count}", "resourceVersion": str(self._count), "namespace": NAMESPACE}
        item["metadata"] = {**meta, "creationTimestamp": self._time(), **item["metadata"]}
        self.objects[item["kind"], item["metadata"]["name"]] = item
        return item

    async def _answer(self, request: Request) -> Response:
        kind, path = KINDS.get(request.path_params["kind"], ""), request.path_params["name"].strip("/")
        line = f"{request.method} {request.url.path}"
        self.requests.append(line)
        self._advance()
        await trio.lowlevel.checkpoint()
        for failure in self._failures:
            if failure.times > 0 and failure.pattern.match(line):
                failure.times -= 1
                if not failure.body:
                    return _status(failure.status, "Scripted", headers=failure.headers)
                return PlainTextResponse(failure.body, failure.status, failure.headers)
        name, _, sub = path.partition("/")
        if request.method == "POST":
            item = await request.json()
            if (item["kind"], item["metadata"]["name"]) in self.objects:
                return _status(409, "AlreadyExists")
            return JSONResponse(self.add(item), 201)
        if not name:
            return self._list(kind, request.query_params.get("labelSelector", ""))
        if (kind, name) not in self.objects:
            return _status(404, "NotFound")
        if sub == "log":
            lines = self._logs.get(name, "").splitlines(keepends=True)
            return PlainTextResponse("".join(lines[-int(request.query_params.get("tailLines", "1000000")) :]))
        if request.method == "GET":
            return JSONResponse(self.objects[kind, name])
        return self._delete(kind, name, await request.body())

    def _list(self, kind: str, selector: str) -> Response:
        items = [item for item in self.of(kind) if _is_selected(item["metadata"].get("labels", {}), selector)]
        return JSONResponse({"kind": f"{kind}List", "metadata": {"resourceVersion": str(self._count)}, "items": items})

    def _delete(self, kind: str, name: str, body: bytes) -> Response:
        options: Object = json.loads(body) if body else {}
        expected = options.get("preconditions", {}).get("uid")
        if expected not in {None, self.objects[kind, name]["metadata"]["uid"]}:
            return _status(409, "Conflict")
        item = self.objects[kind, name]
        self.delete(kind, name)
        return JSONResponse(item)

    def _remove(self, kind: str, name: str) -> None:
        removed = self.objects.pop((kind, name))
        self._gone_at.pop(name, None)
        for key, item in list(self.objects.items()):
            if any(owner["uid"] == removed["metadata"]["uid"] for owner in item["metadata"].get("ownerReferences", [])):
                self.objects.pop(key, None)

    def _advance(self) -> None:
        """Do what the controllers and nodes have done by now."""
        now = trio.current_time()
        for name, at in list(self._gone_at.items()):
            if now >= at:
                self._remove("Job", name)
        for (kind, _), item in list(self.objects.items()):
            if kind == "Job" and "template" in item.get("spec", {}):
                self._run_pods(item, now)

    def _run_pods(self, job: Object, now: float) -> None:
        """Start and end the pods of a Job, by its rules: exit codes that end it, and the number of failures."""
        status: Object = job.setdefault("status", {})
        name, labels = job["metadata"]["name"], job["spec"]["template"]["metadata"]["labels"]
        scripts = self.scripts.get(labels[JOB_LABEL], self._default)
        while not status.get("conditions"):
            number: int = status.get("failed", 0)
            script = scripts[min(number, len(scripts) - 1)]
            pod = self.objects.get(("Pod", f"{name}-{number}")) or self._create_pod(job, number, script)
            if script.node is None or not self._has_started(pod, job, script):
                break
            ends_at = pod["startedAt"] + script.seconds
            if script.code is None or now < ends_at:
                break
            pod["status"]["phase"] = "Failed" if script.code else "Succeeded"
            ends = script.terminated(self._time(pod["startedAt"]), self._time(ends_at))
            pod["status"]["containerStatuses"] = ends
            count_end(job, script)
            if not status.get("conditions"):
                self._create_pod(job, number + 1, scripts[min(number + 1, len(scripts) - 1)], at=ends_at)
        status["active"] = 0 if status.get("conditions") else 1

    def _create_pod(self, job: Object, number: int, script: PodScript, at: float | None = None) -> Object:
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        self._logs[f"{name}-{number}"] = script.log
        waiting = {"name": "worker", "state": {"waiting": {"reason": "ContainerCreating"}}}
        meta = {
            "name": f"{name}-{number}",
            "labels": {**job["spec"]["template"]["metadata"]["labels"], "batch.kubernetes.io/controller-uid": uid},
            "ownerReferences": [{"kind": "Job", "name": name, "uid": uid, "controller": True}],
        }
        status = {"phase": "Pending", "containerStatuses": [waiting], **script.status}
        spec = {} if script.node is None else {"nodeName": script.node}
        return self._store({"kind": "Pod", "metadata": meta, "spec": spec, "status": status, "mayStartAt": at})

    def _has_started(self, pod: Object, job: Object, script: PodScript) -> bool:
        """Start the container, unless its Secret is missing."""
        if "startedAt" in pod:
            return True
        state = pod["status"]["containerStatuses"][0]["state"]
        if ("Secret", job["metadata"]["name"]) not in self.objects:
            state["waiting"] = {"reason": "CreateContainerConfigError", "message": "its secret was not found"}
            return False
        pod["startedAt"] = trio.current_time() if pod["mayStartAt"] is None else pod["mayStartAt"]
        pod["status"]["phase"] = "Running"
        pod["status"]["containerStatuses"][0]["state"] = {"running": {"startedAt": self._time(pod["startedAt"])}}
        return True

    def _time(self, at: float | None = None) -> str:
        if self._began is None:
            self._began = trio.current_time()
        seconds = (trio.current_time() if at is None else at) - self._began
        return f"{START + timedelta(seconds=int(seconds)):%Y-%m-%dT%H:%M:%SZ}"


def _is_selected(labels: Mapping[str, str], selector: str) -> bool:
    """Whether a selector such as `a=b,c in (d,e)` selects an object with these labels."""
    for key, operator, value in re.findall(r"([^\s,=()]+)\s*(=|in)\s*(\([^)]*\)|[^,]+)", selector):
        allowed = value.strip("()").split(",") if operator == "in" else [value]
        if labels.get(key) not in {each.strip() for each in allowed}:
            return False
    return True


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _status(code: int, reason: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    body = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": reason, "reason": reason}
    return JSONResponse({**body, "code": code}, code, headers)
