"""Asks the orchestrator whether a job has ended, before a lost worker is replaced.

A worker may be lost after its report and before its exit code is known. The report that the orchestrator has is then
the result, and the job isn't run again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import httpx
import msgspec
import trio

from trioworker.fleet.engine import Attempt
from trioworker.observability.notices import print_notice
from trioworker.protocol.certificates import certificate_problem
from trioworker.protocol.exit_codes import FAILED, STOPPED, SUCCEEDED
from trioworker.protocol.odd_replies import INVALID, is_json_object

if TYPE_CHECKING:
    from trioworker.fleet.jobs import FleetJob

REQUEST_TIMEOUT = 10.0
"""Seconds for each of the two requests."""
MAX_CONCURRENT_REQUESTS = 20
"""A node that dies loses many workers at the same time."""
REVOKED_STATUSES = (401, 403, 404, 410)
"""Statuses with which an orchestrator refuses the token of a job that has ended (contract, 'HTTP')."""
NOT_FOUND = 404


class _Report(msgspec.Struct, frozen=True):
    success: bool
    message: str | None = None


class _View(msgspec.Struct, frozen=True):
    state: str
    report: _Report | None = None


_view = msgspec.json.Decoder(_View)


KnownOutcome = Attempt | Literal["revoked", "unanswered"] | None
"""The reported outcome; "revoked" if the token is refused; None if the job hasn't ended or isn't there.

"unanswered": the orchestrator doesn't say, since it is down or overloaded.
"""


class JobStatusClient(Protocol):
    """Returns whether and how a job has ended."""

    async def fetch_outcome(self, job: FleetJob) -> KnownOutcome:
        """Return what the orchestrator knows."""
        ...


class HttpJobStatusClient:
    """Asks the management API of the orchestrator (`GET /jobs/ID`); if it is unavailable, tries the job's token.

    `admin` is the URL at which the fleet reaches the orchestrator and its secret, which is sent to no other server.
    Workers may reach the same orchestrator at another URL, so it is asked about each job.
    """

    def __init__(self, client: httpx.AsyncClient, admin: tuple[str, str] | None = None) -> None:
        self._client = client
        url, self._admin_token = admin or ("", "")
        self._admin_url = url.rstrip("/")
        self._limit = trio.CapacityLimiter(MAX_CONCURRENT_REQUESTS)
        self._unreachable = False

    async def fetch_outcome(self, job: FleetJob) -> KnownOutcome:
        """See `JobStatusClient`."""
        async with self._limit:
            view = await self._view(job) if self._admin_token else None
            if isinstance(view, _View):
                report = view.report
                if report is None:
                    return None
                return attempt_from_report(view.state, success=report.success, message=report.message)
            url = f"{job.orchestrator_url.rstrip('/')}/worker/{job.job_id}/job"
            fetched = await self._get(url, job.token)
            if isinstance(fetched, str) or not (fetched.is_success or fetched.status_code in REVOKED_STATUSES):
                return "unanswered"
            # Perhaps the wrong orchestrator, or one that lost its database: it has no report of an unknown job.
            if view == "unknown" and fetched.status_code == NOT_FOUND:
                return None
            if fetched.status_code in REVOKED_STATUSES:
                return "revoked"
            # A page from a proxy in front of the orchestrator doesn't mean that the job is running.
            return None if is_json_object(fetched.content) else "unanswered"

    async def _view(self, job: FleetJob) -> _View | Literal["unknown"] | None:
        answer = await self._get(f"{self._admin_url}/jobs/{job.job_id}", self._admin_token)
        if isinstance(answer, str):
            if not self._unreachable:
                print_notice(f"{self._admin_url}: ended jobs can't be looked up: {answer}")
            self._unreachable = True
            return None
        self._unreachable = False
        if answer.status_code == 401 and self._admin_token:
            print_notice(
                f"{self._admin_url}: the orchestrator's secret is wrong, so ended jobs can't be looked up; correct it"
            )
            self._admin_token = ""
        if answer.status_code == NOT_FOUND:
            return "unknown"
        if answer.status_code != 200:
            return None
        try:
            return _view.decode(answer.content)
        except INVALID:
            return None

    async def _get(self, url: str, token: str) -> httpx.Response | str:
        """Return the answer, or the reason why there is none."""
        with trio.move_on_after(REQUEST_TIMEOUT):
            try:
                return await self._client.get(url, headers={"Authorization": f"Bearer {token}"})
            except httpx.HTTPError as error:
                return certificate_problem(error) or str(error) or type(error).__name__
        return f"no answer within {REQUEST_TIMEOUT:g} s"


def attempt_from_report(state: str, *, success: bool, message: str | None) -> Attempt:
    """The attempt that the orchestrator has the report of."""
    code = SUCCEEDED if success else STOPPED if state == "cancelled" else FAILED
    return Attempt(exit_code=code, status=state, success=success, message=message)
