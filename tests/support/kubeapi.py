"""A fake Kubernetes API server over real HTTP, with responses as the API reference documents them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from trioworker.fleet.kubernetes.manifests import JOB_LABEL

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request


class KubeApi:
    """Stores Jobs and Secrets. A Job has ended when it is first listed; `codes` are the exit codes of its pods.

    Without codes, it runs until it is deleted. The first `failing` requests are answered 503.
    """

    def __init__(self, codes: tuple[int, ...], log: str = "", failing: int = 0) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.requests: list[str] = []
        self.codes = codes
        self._log = log
        self._failing = failing

    def app(self) -> Starlette:
        batch, core = "/apis/batch/v1/namespaces/jobs/jobs", "/api/v1/namespaces/jobs"
        return Starlette(
            routes=[
                Route(batch, self._create, methods=["POST"]),
                Route(batch, self._jobs, methods=["GET"]),
                Route(batch + "/{name}", self._job, methods=["GET"]),
                Route(batch + "/{name}", self._delete, methods=["DELETE"]),
                Route(core + "/secrets", self._create, methods=["POST"]),
                Route(core + "/pods", self._pods, methods=["GET"]),
                Route(core + "/pods/{name}/log", self._read_log, methods=["GET"]),
            ]
        )

    def kubeconfig(self, path: Path, url: str) -> None:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "kube-token"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "jobs"}}],
        }
        path.write_text(json.dumps(config))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [item for (each, _), item in self.objects.items() if each == kind]

    async def _create(self, request: Request) -> Response:
        self.requests.append(f"{request.method} {request.url.path}")
        if self._failing:
            self._failing -= 1
            return _status(503, "ServiceUnavailable")
        item = await request.json()
        key = (item["kind"], item["metadata"]["name"])
        if key in self.objects:
            return _status(409, "AlreadyExists")
        item["metadata"]["uid"] = f"uid-{len(self.objects)}"
        self.objects[key] = item
        return JSONResponse(item, 201)

    async def _jobs(self, request: Request) -> Response:
        items = [{**job, "status": self._job_status()} for job in self.of("Job")]
        return JSONResponse({"apiVersion": "batch/v1", "kind": "JobList", "metadata": {}, "items": items})

    async def _job(self, request: Request) -> Response:
        job = self.objects.get(("Job", request.path_params["name"]))
        return _status(404, "NotFound") if job is None else JSONResponse(job)

    async def _delete(self, request: Request) -> Response:
        self.requests.append(f"{request.method} {request.url.path}")
        name = request.path_params["name"]
        self.objects.pop(("Secret", name), None)
        deleted = self.objects.pop(("Job", name), None)
        return _status(404, "NotFound") if deleted is None else JSONResponse(deleted)

    async def _pods(self, request: Request) -> Response:
        selector = request.query_params["labelSelector"]
        jobs = [job for job in self.of("Job") if job["metadata"]["labels"][JOB_LABEL] in selector]
        pods = [self._pod(job, number, code) for job in jobs for number, code in enumerate(self.codes)]
        return JSONResponse({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": pods})

    async def _read_log(self, request: Request) -> Response:
        return PlainTextResponse(self._log)

    def _job_status(self) -> dict[str, Any]:
        if not self.codes:
            return {"active": 1}
        failed = sum(code != 0 for code in self.codes)
        if self.codes[-1] == 0:
            return {"succeeded": 1, "failed": failed, "conditions": [{"type": "Complete", "status": "True"}]}
        reason, message = "PodFailurePolicy", "Container worker failed with an exit code of the rules"
        condition = {"type": "Failed", "status": "True", "reason": reason, "message": message}
        return {"failed": failed, "conditions": [condition]}

    def _pod(self, job: dict[str, Any], number: int, code: int) -> dict[str, Any]:
        terminated = {"exitCode": code, "finishedAt": f"2026-01-01T00:00:{10 + number}Z"}
        status = {
            "name": "worker",
            "image": "i",
            "imageID": "i",
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": terminated},
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{job['metadata']['name']}-{number}", "labels": job["metadata"]["labels"]},
            "spec": {"nodeName": f"node-{number}", "containers": [{"name": "worker"}]},
            "status": {"containerStatuses": [status]},
        }


def _status(code: int, reason: str) -> JSONResponse:
    body = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": reason, "reason": reason}
    return JSONResponse({**body, "code": code}, code)
