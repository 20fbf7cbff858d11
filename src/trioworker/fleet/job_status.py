"""Asks the orchestrator whether a job has ended, before a lost worker is replaced.

A worker may be lost after its report and before its exit code is known. The report that the orchestrator has is then
the result, and the job isn't run again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import msgspec
import trio

from trioworker.fleet.engine import Attempt
from trioworker.observability.notices import print_notice
from trioworker.protocol.exit_codes import FAILED, STOPPED, SUCCEEDED

if TYPE_CHECKING:
    import httpx

    from trioworker.fleet.jobs import FleetJob

REQUEST_TIMEOUT = 10.0
"""Seconds for each of the two requests."""
MAX_CONCURRENT_REQUESTS = 20
"""A node that dies loses many workers at the same time."""
REVOKED_STATUSES = (401, 403, 404, 410)
"""Statuses with which an orchestrator refuses the token of a job that has ended (contract, 'HTTP')."""


class _Report(msgspec.Struct, frozen=True):
    success: bool
    message: str | None = None


class _View(msgspec.Struct, frozen=True):
    state: str
    report: _Report | None = None


_view = msgspec.json.Decoder(_View)


class JobStatusClient(Protocol):
    """Returns whether and how a job has ended."""

    async def fetch_outcome(self, job: FleetJob) -> Attempt | Literal["revoked"] | None:
        """Return the reported outcome; "revoked" if the token is refused; None if the job hasn't ended.

        None is also returned if the orchestrator doesn't answer.
        """
        ...


class HttpJobStatusClient:
    """Asks the management API of the orchestrator (`GET /jobs/ID`); if it is unavailable, tries the job's token.

    `admin` is the URL of the orchestrator and its secret, which is sent to no other server.
    """

    def __init__(self, client: httpx.AsyncClient, admin: tuple[str, str] | None = None) -> None:
        self._client = client
        self._admin_url, self._admin_token = admin or ("", "")
        self._limit = trio.CapacityLimiter(MAX_CONCURRENT_REQUESTS)

    async def fetch_outcome(self, job: FleetJob) -> Attempt | Literal["revoked"] | None:
        """See `JobStatusClient`."""
        base = job.orchestrator_url.rstrip("/")
        async with self._limit:
            managed = None
            if self._admin_token and base == self._admin_url.rstrip("/"):
                managed = await self._get(f"{base}/jobs/{job.job_id}", self._admin_token)
            if managed is not None and managed.status_code == 401 and self._admin_token:
                print_notice(
                    f"{base}: the orchestrator's secret is wrong, so ended jobs can't be looked up; correct it"
                )
                self._admin_token = ""
            if managed is not None and managed.status_code == 200:
                try:
                    view = _view.decode(managed.content)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    view = None
                if view is not None:
                    report = view.report
                    if report is None:
                        return None
                    return attempt_from_report(view.state, success=report.success, message=report.message)
            fetched = await self._get(f"{base}/worker/{job.job_id}/job", job.token)
            return "revoked" if fetched is not None and fetched.status_code in REVOKED_STATUSES else None

    async def _get(self, url: str, token: str) -> httpx.Response | None:
        import httpx

        with trio.move_on_after(REQUEST_TIMEOUT):
            try:
                return await self._client.get(url, headers={"Authorization": f"Bearer {token}"})
            except httpx.HTTPError:
                return None
        return None


def attempt_from_report(state: str, *, success: bool, message: str | None) -> Attempt:
    """The attempt that the orchestrator has the report of."""
    code = SUCCEEDED if success else STOPPED if state == "cancelled" else FAILED
    return Attempt(exit_code=code, status=state, success=success, message=message)
