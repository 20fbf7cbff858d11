"""What holds of any job of a real worker, whatever happened to it.

It is checked from outside: by what passed through the proxy, what the orchestrator knows, what the tools did to the
workspace, and which processes are left. `trioworker.testing.assert_invariants` checks simulated jobs.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from trioworker.testing.simulation.wire_rules import changed_events, conversation_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from support.fault_proxy import ProxiedRequest
    from support.restartable import RestartableJob


def process_violations(job: RestartableJob, *, kills: int = 0) -> list[str]:
    """The invariants that a job that has ended broke, one line each; `kills` is how often its worker was killed."""
    requests = job.proxy.requests
    return [
        *_reports_once(requests),
        *_delivers_all_events(job),
        *_runs_calls_once(job),
        *_repeats_only_lost_llm_requests(requests, job.proxy.fault_count + kills),
        *_sends_well_formed_conversations(requests),
        *(f"still runs: {command}" for command in job.survivors().values()),
    ]


def _reports_once(requests: Sequence[ProxiedRequest]) -> Iterator[str]:
    accepted = [request.path for request in requests if _accepted(request)]
    if accepted.count("complete") != 1:
        yield f"{accepted.count('complete')} reports were accepted"
    elif accepted[-1] != "complete":
        yield f"accepted after the report: {accepted[accepted.index('complete') + 1 :]}"


def _delivers_all_events(job: RestartableJob) -> Iterator[str]:
    known = [event.data["seq"] for event in job.store.events(job.id, 0)]
    if known != list(range(len(known))):
        yield f"events are missing or out of order: {known}"
    yield from changed_events(msgspec.json.decode(request.body) for request in job.proxy.to("event"))


def _runs_calls_once(job: RestartableJob) -> Iterator[str]:
    for call, count in Counter(job.lines).items():
        if count != 1:
            yield f"{call} ran {count} times"


def _repeats_only_lost_llm_requests(requests: Sequence[ProxiedRequest], lost: int) -> Iterator[str]:
    """The same LLM request is made again only where its reply may have been lost, which happened `lost` times."""
    bodies = Counter(request.body for request in requests if _is_llm_request(request))
    repeats = bodies.total() - len(bodies)
    if repeats > lost:
        yield f"{repeats} LLM requests were made again, at most {lost} replies were lost"


def _sends_well_formed_conversations(requests: Sequence[ProxiedRequest]) -> Iterator[str]:
    for number, request in enumerate(filter(_is_llm_request, requests)):
        for error in conversation_errors(msgspec.json.decode(request.body)["messages"]):
            yield f"LLM request {number}: {error}"


def _accepted(request: ProxiedRequest) -> bool:
    return request.status is not None and 200 <= request.status < 300


def _is_llm_request(request: ProxiedRequest) -> bool:
    return request.path.startswith("llm/")
