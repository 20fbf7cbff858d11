"""A journal's storage. Its process can be killed during a write; if the machine fails, unsynced data is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trioworker.testing.simulation.planned_faults import Kill


class Killed(BaseException):
    """The simulated process was killed. Not an `Exception`: the worker must not handle it."""


class Disk:
    """What outlives the process.

    Attributes:
        content: what was written; the first `synced` bytes survive a crash of the machine.
        writes: the number of writes, over all processes.
        killed: whether the process was killed.
        lost_power: whether the machine crashed, too.
        open: the number of journals that the process has open.
    """

    def __init__(self, kills: Iterable[Kill] = ()) -> None:
        self.content = bytearray()
        self.synced = 0
        self.writes = 0
        self.killed = False
        self.lost_power = False
        self.open = 0
        self._kills = {kill.write: kill for kill in reversed(list(kills))}

    def start_process(self) -> None:
        """Let the next process use the disk."""
        self.killed = self.lost_power = False
        self.open = 0
        self.synced = len(self.content)

    def check_alive(self) -> None:
        """Raise if the process was killed: its cleanup must have no effect."""
        if self.killed:
            raise Killed

    def write(self, data: bytes) -> None:
        """Append data, or only a part of it if the process is killed during this write."""
        self.check_alive()
        kill = self._kills.get(self.writes)
        self.writes += 1
        if kill is None:
            self.content += data
            return
        self.content += data[: len(data) * kill.percent // 100]
        self.killed = True
        self.lost_power = kill.power
        if kill.power:
            del self.content[self.synced :]
        raise Killed


class DiskStorage:
    """The journal's storage, as one process uses it."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        disk.open += 1

    def append(self, data: bytes) -> None:
        """Add `data` at the end."""
        self._disk.write(data)

    async def sync(self) -> None:
        """Return once everything appended so far survives a crash of the machine."""
        self._disk.check_alive()
        size = len(self._disk.content)
        await trio.lowlevel.checkpoint()
        self._disk.check_alive()
        self._disk.synced = max(self._disk.synced, size)

    def cut(self, size: int) -> None:
        """Remove what follows the first `size` bytes."""
        del self._disk.content[size:]

    def close(self) -> None:
        """Close the journal."""
        self._disk.open -= 1
