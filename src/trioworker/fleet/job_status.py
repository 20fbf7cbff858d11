"""Whether a job has ended, as its orchestrator knows: what a lost worker did before it was lost.

A worker may report and die before anyone hears its exit code. The one who knows is the orchestrator, so it is asked
before a worker is started again: the report that it holds becomes the result, and no second one is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import msgspec
import trio

from trioworker.fleet.engine import Attempt
from trioworker.protocol.exit_codes import FAILED, STOPPED, SUCCEEDED

if TYPE_CHECKING:
    import httpx

    from trioworker.fleet.jobs import FleetJob

PATIENCE = 10.0
"""Seconds for each of the two requests."""
AT_ONCE = 20
"""Questions at once: a node that dies loses many workers in one moment."""
REVOKED = (401, 403, 404, 410)
"""Statuses by which an orchestrator refuses the token of a job that has ended (contract, 'HTTP')."""


class _Report(msgspec.Struct, frozen=True):
    success: bool
    message: str | None = None


class _View(msgspec.Struct, frozen=True):
    state: str
    report: _Report | None = None


_view = msgspec.json.Decoder(_View)


class JobStatusClient(Protocol):
    """Knows whether a job has ended."""

    async def ask(self, job: FleetJob) -> Attempt | Literal["revoked"] | None:
        """The end that the orchestrator was told; "revoked" if it only refuses the token; None if the job goes on.

        None also stands for an orchestrator that does not answer.
        """
        ...


class HttpJobStatusClient:
    """Asks the orchestrator: its management side (`GET /jobs/ID`) where there is one for us, else by the token."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._limit = trio.CapacityLimiter(AT_ONCE)

    async def ask(self, job: FleetJob) -> Attempt | Literal["revoked"] | None:
        """See `Oracle`."""
        base = job.orchestrator_url.rstrip("/")
        async with self._limit:
            managed = await self._get(f"{base}/jobs/{job.job_id}", {})
            if managed is not None and managed.status_code == 200:
                try:
                    view = _view.decode(managed.content)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    view = None
                if view is not None:
                    return _ending(view)
            token = {"Authorization": f"Bearer {job.token}"}
            told = await self._get(f"{base}/worker/{job.job_id}/job", token)
            return "revoked" if told is not None and told.status_code in REVOKED else None

    async def _get(self, url: str, headers: dict[str, str]) -> httpx.Response | None:
        import httpx

        with trio.move_on_after(PATIENCE):
            try:
                return await self._client.get(url, headers=headers)
            except httpx.HTTPError:
                return None
        return None


def _ending(view: _View) -> Attempt | None:
    if view.report is None:
        return None
    code = SUCCEEDED if view.report.success else STOPPED if view.state == "cancelled" else FAILED
    return Attempt(exit_code=code, status=view.state, success=view.report.success, message=view.report.message)
