"""Where a trace's spans lie: each track is a thread of the viewer's, in which spans must lie within each other.

Spans that run side by side, such as tool calls that only read, go to further threads with the track's name and a
number: its lanes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioworker.observability.recording import RecordedSpan

LANES = 1000
"""Lanes of a track that are sorted before the next track: more than a model ever asks for at once."""


class Lane:
    """A thread of the viewer's, and the spans that are open on it, each within the one before."""

    __slots__ = ("open", "thread")

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.open: list[RecordedSpan] = []


class Lanes:
    """Gives each span its thread. `name` is told of each new one: its number, its name, its place in the order."""

    def __init__(self, name: Callable[[int, str, int], None]) -> None:
        self._name = name
        self._tracks: dict[str, list[Lane]] = {}
        self._lane_of: dict[RecordedSpan, Lane] = {}
        self._threads = 0

    def enter(self, span: RecordedSpan) -> int:
        """The thread of a span that begins: the first on which it lies within its parent, or nothing is open."""
        for lane in self._tracks.get(span.track, ()):
            if not lane.open or lane.open[-1] is span.parent:
                break
        else:
            lane = self._new_lane(span.track)
        lane.open.append(span)
        self._lane_of[span] = lane
        return lane.thread

    def leave(self, span: RecordedSpan) -> int:
        """The thread of a span that ends."""
        lane = self._lane_of.pop(span)
        lane.open.remove(span)
        return lane.thread

    def main(self, track: str) -> int:
        """The thread of a track's first lane."""
        lanes = self._tracks.get(track)
        return (lanes[0] if lanes else self._new_lane(track)).thread

    def _new_lane(self, track: str) -> Lane:
        lanes = self._tracks.setdefault(track, [])
        self._threads += 1
        lane = Lane(self._threads)
        lanes.append(lane)
        # Tracks in the order in which they came, each followed by its lanes.
        order = list(self._tracks).index(track) * LANES + len(lanes)
        self._name(lane.thread, f"{track} {len(lanes)}" if len(lanes) > 1 else track, order)
        return lane
