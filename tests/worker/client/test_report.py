"""The last report: the orchestrator may revoke the token before its answer is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from support.requests import REPORT, connect, send_report
from support.scripted import Scripted, drip, hang, status
from trioworker.errors import RefusedError
from trioworker.worker.cancellation import ReportDelivery

if TYPE_CHECKING:
    from trio.testing import MockClock


@pytest.mark.parametrize("refusal", [401, 404])
@pytest.mark.parametrize(
    "first", [httpx.ReadError("reset"), hang, drip, status(502)], ids=["reset", "hang", "drip", "502"]
)
async def test_a_report_that_is_refused_after_it_may_have_arrived_had_arrived(
    first: Any, refusal: int, autojump_clock: MockClock
) -> None:
    transport = Scripted(first, status(refusal))
    async with connect(transport) as client:
        await send_report(client)
    assert len(transport.arrivals) == 2


@pytest.mark.parametrize("refusal", [401, 404])
@pytest.mark.parametrize(
    "before",
    [(), (httpx.ConnectError("refused"),), (httpx.ConnectTimeout("slow"),), (httpx.PoolTimeout("none free"),)],
    ids=["at once", "after a refused connection", "after a slow connection", "after waiting for a connection"],
)
async def test_a_report_that_is_refused_and_never_went_out_before_is_not_accepted(
    before: tuple[Exception, ...], refusal: int, autojump_clock: MockClock
) -> None:
    async with connect(Scripted(*before, status(refusal))) as client:
        with pytest.raises(RefusedError) as caught:
            await send_report(client)
    assert caught.value.status == refusal


async def test_a_report_that_is_forbidden_after_it_may_have_arrived_is_not_accepted(autojump_clock: MockClock) -> None:
    async with connect(Scripted(httpx.ReadError("reset"), status(403))) as client:
        with pytest.raises(RefusedError):
            await send_report(client)


async def test_a_delivery_remembers_what_an_earlier_sender_sent(autojump_clock: MockClock) -> None:
    delivery = ReportDelivery()
    async with connect(Scripted(hang, status(401))) as client:
        with trio.move_on_after(1):
            await client.report(REPORT, delivery)
        assert delivery.may_have_arrived
        await client.report(REPORT, delivery)


async def test_a_delivery_awaits_an_answer_once_the_body_was_sent(autojump_clock: MockClock) -> None:
    delivery = ReportDelivery()
    seen: list[bool] = []

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(delivery.awaits_answer)
            await request.aread()
            seen.append(delivery.awaits_answer)
            return status(503, Retry_After="5") if len(seen) == 2 else status(200)

    async with connect(Slow()) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.report, REPORT, delivery)
        await trio.sleep(3)
        seen.append(delivery.awaits_answer)
    assert seen == [False, True, False, False, True]
    assert not delivery.awaits_answer
