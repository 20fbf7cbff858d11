"""What the cancel matrix itself finds wrong with a run."""

from __future__ import annotations


class InvariantError(AssertionError):
    """A run broke an invariant of the cancel matrix."""


class DeadlockError(InvariantError):
    """Every task waits, and nothing will wake any of them."""


class RunawayError(InvariantError):
    """The run doesn't end although its tasks keep running."""


class TaskLeftError(InvariantError):
    """A task outlived the body."""


class NotClosedError(InvariantError):
    """A resource is still open after the body."""


class SwallowedCancelError(InvariantError):
    """A cancelled scope ended as if it had not been cancelled, although a Cancelled was raised in it."""


class EscapedCancelError(InvariantError):
    """A Cancelled left the body although the body wasn't cancelled."""


class StrayError(InvariantError):
    """An exception that couldn't reach any task: in a finalizer, or in an async generator that nobody closed."""


class RealTimeError(InvariantError):
    """The body waits for a thread, a process or a socket, which virtual time doesn't wait for."""


class NondeterminismError(InvariantError):
    """Two runs of the same plan differ."""
