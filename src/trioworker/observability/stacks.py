"""Readable stacks: what a thread's event loop runs right now, and places in the code as `file:line function`.

None of this needs the event loop: another thread can look while a computation holds the loop.
"""

from __future__ import annotations

import sys
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import trio

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

MAX_PLACE = 120
"""Characters of a place; longer ones are cut."""
MAX_STACK = 16
"""Innermost places of a stack that are shown."""

LOOP = "unrolled_run"
"""trio's generator that runs the tasks: it is in the stack while a task runs, but not while trio waits."""
TRIO = frozenset({"trio", "outcome"})
LIBRARIES = TRIO | {"anyio", "sniffio", "httpx", "httpcore", "h11", "contextlib"} | sys.stdlib_module_names
"""Top-level modules in which a task waits on behalf of its caller."""


class Step(NamedTuple):
    """A task's step, from one of its checkpoints to the next, while it runs.

    Attributes:
        task: None if trio itself is at work.
        number: how many steps the task has made; two looks with the same task and number see the same step.
        frames: the frames of the step, innermost first.
    """

    task: trio.lowlevel.Task | None
    number: int
    frames: tuple[FrameType, ...]

    def continues(self, earlier: Step | None) -> bool:
        """Whether this step is the one that was seen earlier."""
        return earlier is not None and self.task is earlier.task and self.number == earlier.number


def running_step(thread: int) -> Step | None:
    """The step that the event loop in the thread runs; None if the loop waits, or if there is no loop."""
    frames: list[FrameType] = []
    frame = sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage] - documented
    while frame is not None:
        if frame.f_code.co_name == LOOP and _top_module(frame) == "trio":
            task = frame.f_locals.get("task") if frames else None
            if not isinstance(task, trio.lowlevel.Task):
                task = None
            return Step(task, steps_of(task) if task else 0, tuple(frames))
        frames.append(frame)
        frame = frame.f_back
    return None


def steps_of(task: trio.lowlevel.Task) -> int:
    """How many steps a task has made: the counter that `trio.testing.assert_checkpoints` reads."""
    return getattr(task, "_schedule_points", 0)


def stack_of(step: Step) -> tuple[str, ...]:
    """The places of a running step, innermost first, without trio's own."""
    shown = [frame for frame in step.frames if _top_module(frame) not in TRIO] or step.frames[:1]
    return tuple(place(frame, frame.f_lineno) for frame in shown[:MAX_STACK])


def waiting_places(task: trio.lowlevel.Task, limit: int) -> tuple[str, ...]:
    """Where a task waits, and below that where each file was entered, innermost first.

    The functions in between say little: a request waits in five functions of one file. Frames of libraries are left
    out unless there are no others.
    """
    frames = list(task.iter_await_frames())[::-1]
    shown = [(frame, line) for frame, line in frames if _top_module(frame) not in LIBRARIES] or frames[:1]
    entered = [list(group)[-1] for _, group in groupby(shown, key=lambda entry: entry[0].f_code.co_filename)]
    places = [*shown[:1], *(entry for entry in entered if entry is not shown[0])]
    return tuple(place(frame, line) for frame, line in places[:limit])


def place(frame: FrameType, line: int) -> str:
    """`file:line function`. The path starts with the top-level package, which is left out if it is this one."""
    code = frame.f_code
    file = _path(str(frame.f_globals.get("__name__", "")), code.co_filename)
    return f"{file}:{line} {code.co_qualname.replace('<locals>.', '')}"[:MAX_PLACE]


def is_of_trio(task: trio.lowlevel.Task) -> bool:
    """Whether trio runs the task for itself."""
    return all(_top_module(frame) in TRIO for frame, _ in _outermost(task))


def _outermost(task: trio.lowlevel.Task) -> Iterable[tuple[FrameType, int]]:
    for frame in task.iter_await_frames():
        yield frame
        return


def _path(module: str, file: str) -> str:
    levels = len(module.split(".")) + file.endswith("/__init__.py")
    # The folder of the package is the same for all of its modules.
    ours = module.startswith("trioworker.")
    return "/".join(file.split("/")[-levels:][ours:])


def _top_module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
