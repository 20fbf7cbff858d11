"""What a signal does to `trioworker local`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.observability.notices import print_notice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trio

    from trioworker.local.event_printing import EventPrinting
    from trioworker.local.worker_process import WorkerProcess


async def stop_on_signal(
    signals: AsyncIterator[int], worker: WorkerProcess, stop_requested: trio.Event, events: EventPrinting
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
        stop_requested.set()
