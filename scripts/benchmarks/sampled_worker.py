"""The worker under pyinstrument: each sample has a frame that names the actor whose step was interrupted.

python -m benchmarks.sampled_worker SESSION INTERVAL worker …, where SESSION is the file for the samples.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import trio
from pyinstrument import Profiler

from trioworker.testing.steps import actor_of

if TYPE_CHECKING:
    from pyinstrument.stack_sampler import AsyncState

ACTOR_FILE = "<actor>"
"""The file name of the frames that name an actor."""
LOOP = "event loop"
"""The name for samples in which trio was between two tasks."""
LOOP_FUNCTION = "unrolled_run"
"""trio's loop, which calls each task."""


class ActorProfiler(Profiler):
    """Inserts a frame below trio's loop: the stack of a task then begins with its actor."""

    def _sampler_saw_call_stack(
        self, call_stack: list[str], time_since_last_sample: float, async_state: AsyncState | None
    ) -> None:
        loop = next(
            (depth for depth, frame in enumerate(call_stack, 1) if frame.startswith(f"{LOOP_FUNCTION}\0")), None
        )
        if loop is not None:
            call_stack.insert(loop, f"{_running_actor()}\0{ACTOR_FILE}\x000")
        super()._sampler_saw_call_stack(call_stack, time_since_last_sample, async_state)


def _running_actor() -> str:
    try:
        return actor_of(trio.lowlevel.current_task())
    except RuntimeError:
        return LOOP


def main() -> None:
    """Run the program, and write the samples when it exits."""
    session, interval, *arguments = sys.argv[1:]
    sys.argv[1:] = arguments
    profiler = ActorProfiler(interval=float(interval), async_mode="disabled")
    profiler.start(target_description=" ".join(["trioworker", *arguments]))
    try:
        from trioworker.cli.entry import run

        run()
    finally:
        profiler.stop().save(session)


if __name__ == "__main__":
    main()
