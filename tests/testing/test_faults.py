"""Faults: as values, and what each does to a request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from trioworker.testing import Fault, SimulatedOrchestrator

if TYPE_CHECKING:
    from trio.testing import MockClock


async def ask(orchestrator: SimulatedOrchestrator, path: str = "job", method: str = "GET") -> httpx.Response:
    """The answer to one request that has the token."""
    headers = {"Authorization": f"Bearer {orchestrator.token}"}
    async with httpx.AsyncClient(transport=orchestrator, headers=headers) as client:
        return await client.request(method, f"{orchestrator.url}/worker/{orchestrator.job_id}/{path}")


async def outcomes(orchestrator: SimulatedOrchestrator, *paths: str) -> list[int | str]:
    """The status of each request, or the name of its error."""
    found: list[int | str] = []
    for path in paths:
        try:
            found.append((await ask(orchestrator, path)).status_code)
        except httpx.TransportError as error:
            found.append(type(error).__name__)
    return found


def test_faults_with_equal_values_are_equal_and_have_the_same_hash() -> None:
    one, other = (Fault.status(503, headers={"Retry-After": "2"}, path="event", request=3) for _ in range(2))
    assert one == other
    assert {one, other} == {one}
    assert one != Fault.status(503, path="event", request=3)
    assert Fault.cut() != Fault.garbage()


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        (Fault.refused(), "Fault.refused()"),
        (Fault.reset_before(request=0), "Fault.reset_before(request=0)"),
        (Fault.delay(2.5, path="llm"), "Fault.delay(2.5, path='llm')"),
        (Fault.status(429, headers={"Retry-After": "2"}), "Fault.status(429, headers={'Retry-After': '2'})"),
        (Fault.status(429, body="busy"), "Fault.status(429, body=b'busy')"),
        (Fault.status(503), "Fault.status(503)"),
    ],
)
def test_repr_is_the_expression_that_makes_the_fault(fault: Fault, shown: str) -> None:
    assert repr(fault) == shown


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fault.status(99), "Fault.status: 99 is not an HTTP status from 200 to 599"),
        (lambda: Fault.delay(-1), "Fault.delay: -1 is not a number of seconds, 0 or more"),
        (lambda: Fault.delay(math.nan), "Fault.delay: nan is not a number of seconds, 0 or more"),
        (lambda: Fault.cut(request=-1), "Fault: request -1 is not the number of a request, which starts at 0"),
    ],
)
def test_value_out_of_range_is_an_error(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()


@pytest.mark.parametrize(
    ("fault", "outcome", "handled"),
    [
        (Fault.refused(), "ConnectError", False),
        (Fault.status(503), 503, False),
        (Fault.reset_before(), "ReadError", False),
        (Fault.reset_after(), "ReadError", True),
        (Fault.cut(), "RemoteProtocolError", True),
        (Fault.delay(5), 200, True),
        (Fault.garbage(), 200, True),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
async def test_fault_decides_the_answer_and_whether_the_request_is_handled(
    fault: Fault, outcome: int | str, handled: bool, autojump_clock: MockClock
) -> None:
    orchestrator = SimulatedOrchestrator(faults=[fault])
    assert await outcomes(orchestrator, "job") == [outcome]
    (exchange,) = orchestrator.exchanges
    assert exchange.handled is handled
    assert exchange.fault == fault
    assert exchange.status == (outcome if isinstance(outcome, int) else None)


async def test_status_has_its_headers_and_body(autojump_clock: MockClock) -> None:
    fault = Fault.status(429, headers={"Retry-After": "2"}, body="slow down")
    answer = await ask(SimulatedOrchestrator(faults=[fault]))
    assert (answer.status_code, answer.headers["retry-after"], answer.text) == (429, "2", "slow down")


async def test_garbage_is_not_json(autojump_clock: MockClock) -> None:
    answer = await ask(SimulatedOrchestrator(faults=[Fault.garbage()]))
    assert answer.text.startswith("<html>")


async def test_delay_is_in_seconds_after_the_request_was_handled(autojump_clock: MockClock) -> None:
    await ask(SimulatedOrchestrator(latency=1.0, faults=[Fault.delay(2.5)]))
    assert trio.current_time() == pytest.approx(3.5)


async def test_infinite_delay_never_ends(autojump_clock: MockClock) -> None:
    orchestrator = SimulatedOrchestrator(faults=[Fault.delay(math.inf)])
    with trio.move_on_after(1e6) as scope:
        await ask(orchestrator)
    assert scope.cancelled_caught
    assert orchestrator.exchanges[0].handled


async def test_fault_without_path_and_number_affects_all_requests(autojump_clock: MockClock) -> None:
    orchestrator = SimulatedOrchestrator(faults=[Fault.status(500)])
    assert await outcomes(orchestrator, "job", "prompt", "job") == [500, 500, 500]


async def test_number_without_path_counts_all_requests(autojump_clock: MockClock) -> None:
    orchestrator = SimulatedOrchestrator(faults=[Fault.status(500, request=1)])
    assert await outcomes(orchestrator, "job", "prompt", "job") == [200, 500, 200]


async def test_number_with_path_counts_the_requests_to_it(autojump_clock: MockClock) -> None:
    orchestrator = SimulatedOrchestrator(faults=[Fault.status(500, path="prompt", request=1)])
    assert await outcomes(orchestrator, "prompt", "job", "prompt", "prompt") == [204, 200, 500, 204]


async def test_path_includes_the_paths_below_it_only(autojump_clock: MockClock) -> None:
    orchestrator = SimulatedOrchestrator(faults=[Fault.status(500, path="llm"), Fault.status(501, path="pro")])
    assert await outcomes(orchestrator, "llm/complete", "llm/complete_with_tools", "prompt") == [500, 500, 204]


async def test_first_matching_fault_is_used(autojump_clock: MockClock) -> None:
    faults = [Fault.status(500, path="job"), Fault.status(501, request=0), Fault.status(502)]
    assert await outcomes(SimulatedOrchestrator(faults=faults), "job", "prompt") == [500, 502]


async def test_chosen_fault_takes_precedence_over_the_list(autojump_clock: MockClock) -> None:
    orchestrator = SimulatedOrchestrator(faults=[Fault.status(500)])
    orchestrator.fault = lambda exchange: Fault.refused() if exchange.path == "job" else None
    assert await outcomes(orchestrator, "job", "prompt") == ["ConnectError", 500]
    orchestrator.faults = []
    assert await outcomes(orchestrator, "prompt") == [204]


async def test_what_is_not_a_fault_is_a_type_error(autojump_clock: MockClock) -> None:
    not_a_fault: Any = "refused"
    expected = "'refused' is not a fault; make it with a method of Fault, such as Fault.status(503)"
    with pytest.raises(TypeError) as caught:
        SimulatedOrchestrator(faults=[Fault.cut(), not_a_fault])
    assert str(caught.value) == f"faults: item 2, {expected}"

    orchestrator = SimulatedOrchestrator()
    orchestrator.fault = lambda _: not_a_fault
    with pytest.raises(TypeError) as caught:
        await ask(orchestrator)
    assert str(caught.value) == f"fault: the chosen {expected}"
