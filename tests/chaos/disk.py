"""A journal's storage whose process can be killed within a write; if the machine fails, what was not synced is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from chaos.plan import Kill


class Killed(BaseException):
    """The simulated process was killed. Not an `Exception`: the worker must not handle it."""


class Disk:
    """What outlives the process. `content` is what was written, of which the first `synced` bytes are safe."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.synced = 0
        self.writes = 0
        self.kills: list[Kill] = []
        self.killed = False
        self.lost_power = False
        self.open = 0

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
        self.check_alive()
        kill = next((kill for kill in self.kills if kill.write == self.writes), None)
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
        self._disk.write(data)

    async def sync(self) -> None:
        self._disk.check_alive()
        size = len(self._disk.content)
        await trio.lowlevel.checkpoint()
        self._disk.check_alive()
        self._disk.synced = max(self._disk.synced, size)

    def cut(self, size: int) -> None:
        del self._disk.content[size:]

    def close(self) -> None:
        self._disk.open -= 1
