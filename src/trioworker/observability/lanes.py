"""Assigns the spans of a trace to threads of the viewer. The spans of one thread must nest.

A track is a thread. Spans of a track that run concurrently, such as tool calls that only read, get additional threads,
named after the track with a number: its lanes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioworker.observability.recording import RecordedSpan

MAX_LANES = 1000
"""Lanes per track in the sort order: more than there are concurrent calls."""


class Lane:
    """A thread of the viewer, and the spans that are open on it, each nested in the one before."""

    __slots__ = ("open", "thread")

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.open: list[RecordedSpan] = []


class Lanes:
    """Assigns threads to spans. `name` is called for each new thread, with its number, name and sort index."""

    def __init__(self, name: Callable[[int, str, int], None]) -> None:
        self._name = name
        self._tracks: dict[str, list[Lane]] = {}
        self._lane_of: dict[RecordedSpan, Lane] = {}
        self._threads = 0

    def enter(self, span: RecordedSpan) -> int:
        """Return the thread of a span that starts: the first where it nests in its parent, or that has no open span."""
        for lane in self._tracks.get(span.track, ()):
            if not lane.open or lane.open[-1] is span.parent:
                break
        else:
            lane = self._new_lane(span.track)
        lane.open.append(span)
        self._lane_of[span] = lane
        return lane.thread

    def leave(self, span: RecordedSpan) -> int:
        """Return the thread of a span that ends."""
        lane = self._lane_of.pop(span)
        lane.open.remove(span)
        return lane.thread

    def main(self, track: str) -> int:
        """Return the thread of a track's first lane."""
        lanes = self._tracks.get(track)
        return (lanes[0] if lanes else self._new_lane(track)).thread

    def _new_lane(self, track: str) -> Lane:
        lanes = self._tracks.setdefault(track, [])
        self._threads += 1
        lane = Lane(self._threads)
        lanes.append(lane)
        # Tracks in the order of their first span, each followed by its lanes.
        order = list(self._tracks).index(track) * MAX_LANES + len(lanes)
        self._name(lane.thread, f"{track} {len(lanes)}" if len(lanes) > 1 else track, order)
        return lane
