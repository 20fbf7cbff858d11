"""What the worker promises of any job, whatever happened to it.

It is told from outside: by what passed through the proxy, what the orchestrator knows, what the tools did to the
workspace, and what still runs.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from support.disturbing import Carried
    from support.mortal import MortalJob


def broken_promises(job: MortalJob, *, deaths: int = 0) -> list[str]:
    """What does not hold of a job that is over, one line each; empty is good."""
    carried = job.proxy.carried
    return [
        *_reports_once(carried),
        *_tells_all_events(job),
        *_runs_calls_once(job),
        *_asks_once(carried, job.proxy.disturbed + deaths),
        *_speaks_in_order(carried),
        *(f"still runs: {command}" for command in job.survivors().values()),
    ]


def _reports_once(carried: Sequence[Carried]) -> Iterator[str]:
    accepted = [request.path for request in carried if _accepted(request)]
    if accepted.count("complete") != 1:
        yield f"{accepted.count('complete')} reports were accepted"
    elif accepted[-1] != "complete":
        yield f"accepted after the report: {accepted[accepted.index('complete') + 1 :]}"


def _tells_all_events(job: MortalJob) -> Iterator[str]:
    known = [event.data["seq"] for event in job.store.events(job.id, 0)]
    if known != list(range(len(known))):
        yield f"events are missing or out of order: {known}"
    told: dict[int, Any] = {}
    for request in job.proxy.to("event"):
        event = msgspec.json.decode(request.body)
        seq: int = event["data"]["seq"]
        if told.setdefault(seq, event) != event:
            yield f"event {seq} was told in two ways: {told[seq]} and {event}"


def _runs_calls_once(job: MortalJob) -> Iterator[str]:
    for call, count in Counter(job.lines).items():
        if count != 1:
            yield f"{call} ran {count} times"


def _asks_once(carried: Sequence[Carried], lost: int) -> Iterator[str]:
    """The model is asked the same again only where its reply may have been lost, which happened `lost` times."""
    asked = Counter(request.body for request in carried if _asks(request))
    again = asked.total() - len(asked)
    if again > lost:
        yield f"{again} requests to the model were made again, {lost} replies can have been lost"


def _speaks_in_order(carried: Sequence[Carried]) -> Iterator[str]:
    for number, request in enumerate(filter(_asks, carried)):
        open_calls: list[str] = []
        messages: list[dict[str, Any]] = msgspec.json.decode(request.body)["messages"]
        for message in messages:
            if message["role"] == "tool":
                if message["tool_call_id"] not in open_calls:
                    yield f"request {number} to the model: the answer {message['tool_call_id']} follows no call"
                    return
                open_calls.remove(message["tool_call_id"])
            elif open_calls:
                yield f"request {number} to the model: {open_calls} were never answered"
                return
            else:
                open_calls = [call["id"] for call in message.get("tool_calls", ())]
        if messages[-1]["role"] == "assistant" or open_calls:
            yield f"request {number} to the model ends with the assistant's message"


def _accepted(request: Carried) -> bool:
    return request.status is not None and 200 <= request.status < 300


def _asks(request: Carried) -> bool:
    return request.path.startswith("llm/")
