"""`trioworker tree`: asks a worker for its tasks, and prints them as a tree, as `python -m asyncio pstree` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trioworker.observability.health_client import HEALTHY, UNHEALTHY, UnhealthyError, not_a_worker, request
from trioworker.observability.notices import print_notice
from trioworker.observability.terminal_text import duration, fit
from trioworker.protocol.control_characters import escape_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAX_TASKS = 200
"""Tasks in a response, so that it fits into the socket's buffer; the worker of a job has about twenty."""
MAX_RESPONSE_BYTES = 512 * 1024
"""More than a worker ever sends: each task has a name and a few places, each of at most 160 characters."""
MAX_DEPTH = 40
"""Levels of the tree that are indented."""
MAX_WIDTH = 400
"""Columns of a line."""


class TaskLine(msgspec.Struct, frozen=True, kw_only=True):
    """A task, or a nursery that is nested in one of the same task.

    Attributes:
        depth: its level in the tree; its parent is the closest line before it with a lower level.
        name: the task's name, empty for a nursery.
        actor: the actor that it belongs to, if any.
        waited: a lower bound of the seconds since it last ran; None if it is running, or if that isn't known.
        running: whether it is running: it holds the loop, or answers the request.
        places: where it waits, as `file:line function`, innermost first.
    """

    depth: int
    name: str = ""
    actor: str = ""
    waited: float | None = None
    running: bool = False
    places: tuple[str, ...] = ()


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A computation that holds the event loop: its task, its stack, and a lower bound of the seconds."""

    task: str
    actor: str
    seconds: float
    stack: tuple[str, ...]


class TaskTree(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks of a worker's process, parents before their children; `is_cut` if there are more."""

    pid: int
    tasks: tuple[TaskLine, ...]
    is_cut: bool = False
    hold: Hold | None = None


def check_tree(path: Path) -> int:
    """Print the task tree of the worker at the socket, and return the exit code: `HEALTHY` or `UNHEALTHY`."""
    try:
        tree = _parse(request(path, MAX_RESPONSE_BYTES, tree=True), path)
    except UnhealthyError as reason:
        print_notice(str(reason))
        return UNHEALTHY
    for line in render(tree):
        print(fit(escape_line(line), MAX_WIDTH))
    return HEALTHY


def render(tree: TaskTree) -> Iterator[str]:
    """The lines to print, not yet escaped for a terminal."""
    yield f"process {tree.pid}: {sum(bool(task.name) for task in tree.tasks)} tasks"
    if tree.hold is not None:
        hold = tree.hold
        title = _title(hold.task, hold.actor)
        yield f"the event loop is held for {_at_least(hold.seconds)} by {title}, innermost first:"
        yield from (f"  {place}" for place in hold.stack)
    for index, task in enumerate(tree.tasks):
        here, below = _branches(tree.tasks, index)
        yield here + _describe(task)
        yield from (f"{below}     from {place}" for place in task.places[1:])
    if tree.is_cut:
        yield "… and more"


def _describe(task: TaskLine) -> str:
    if not task.name:
        return "(nested nursery)"
    title = _title(task.name, task.actor)
    if task.running:
        return f"{title}: running"
    waited = "" if task.waited is None else f" for {_at_least(task.waited)}"
    return f"{title}: waiting{waited} in {task.places[0] if task.places else 'an unknown place'}"


def _title(name: str, actor: str) -> str:
    if not actor:
        return name
    return f"{name} (actor)" if name == actor else f"{name} (of {actor})"


def _at_least(seconds: float) -> str:
    return duration(int(seconds)) if seconds >= 1 else "less than 1 s"


def _branches(tasks: Sequence[TaskLine], index: int) -> tuple[str, str]:
    """The lines that connect a task to its parent and siblings: before its own line, and before its places."""
    depth = min(tasks[index].depth, MAX_DEPTH)
    continued = set[int]()
    lowest = depth
    for later in tasks[index + 1 :]:
        level = min(later.depth, MAX_DEPTH)
        if level <= lowest:
            continued.add(level)
            lowest = level
        if lowest == 0:
            break
    stem = "".join("│  " if level in continued else "   " for level in range(1, depth))
    has_children = index + 1 < len(tasks) and tasks[index + 1].depth > tasks[index].depth
    child = "│" if has_children else " "
    if depth == 0:
        return "", child
    sibling = depth in continued
    return stem + ("├─ " if sibling else "└─ "), stem + ("│  " if sibling else "   ") + child


def _parse(response: bytes, path: Path) -> TaskTree:
    try:
        return msgspec.json.decode(response, type=TaskTree)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise not_a_worker(path) from error
