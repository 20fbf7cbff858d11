"""What a signal does to `trioworker local`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from trioworker.observability.notices import print_notice
from trioworker.supervision.nurseries import cancelled_after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import trio

    from trioworker.local.activity import Activity
    from trioworker.local.event_printing import EventPrinting
    from trioworker.local.worker_process import WorkerProcess

T = TypeVar("T")


async def stop_on_signal(
    signals: AsyncIterator[int],
    worker: WorkerProcess,
    stop_requested: trio.Event,
    events: EventPrinting,
    activity: Activity,
) -> None:
    """Stop the worker on the first signal, so that it reports the job; kill it on the second.

    Once the worker has ended, a signal ends the wait for a reader of the output.
    """
    async for _ in signals:
        if worker.ended:
            events.cancel()
        elif stop_requested.is_set():
            worker.kill()
        else:
            print_notice("stopping; press Ctrl-C again to kill")
            worker.stop()
            activity.stopping = True
        stop_requested.set()


async def unless_stopped(signals: AsyncIterator[int], call: Callable[[], Awaitable[T]]) -> tuple[T | None, bool]:
    """Await the call, but cancel it at a signal. Returns its result, None if cancelled, and whether a signal came."""
    result: T | None = None
    stopped = False

    async def signal() -> None:
        nonlocal stopped
        await anext(signals)
        stopped = True

    async with cancelled_after(signal):
        result = await call()
    return result, stopped
