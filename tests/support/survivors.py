"""Runs some functions so that a cancel from outside reaches only a part of them.

A matrix with named scopes cancels each scope only at its own checkpoints. Here, the victims are also cancelled at the
checkpoints of other tasks, such as one that has just released what a victim waits for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

LIMIT_SECONDS = 1000
"""Seconds of virtual time for everything that a cancel from outside doesn't reach."""


async def run_beside(
    victims: Sequence[Callable[[], Awaitable[object]]],
    survivors: Sequence[Callable[[], Awaitable[object]]],
    services: Sequence[Callable[[], Awaitable[object]]] = (),
) -> None:
    """Run all of them until the victims and survivors have ended. A cancel from outside reaches only the victims.

    Raises:
        trio.TooSlowError: the survivors or the services took more than LIMIT_SECONDS.
    """

    async def run_victim(victim: Callable[[], Awaitable[object]], ended: trio.Event) -> None:
        try:
            await victim()
        finally:
            ended.set()

    async with trio.open_nursery() as exposed:
        with trio.fail_after(LIMIT_SECONDS) as limit:
            limit.shield = True
            async with trio.open_nursery() as background:
                for service in services:
                    background.start_soon(service)
                await trio.testing.wait_all_tasks_blocked()
                async with trio.open_nursery() as nursery:
                    for victim in victims:
                        ended = trio.Event()
                        exposed.start_soon(run_victim, victim, ended)
                        nursery.start_soon(ended.wait)
                    for survivor in survivors:
                        nursery.start_soon(survivor)
                background.cancel_scope.cancel()
