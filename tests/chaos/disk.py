"""A journal's storage that can die: in the middle of a write, and with what was not synced."""

from __future__ import annotations

from dataclasses import dataclass

import trio


class Killed(BaseException):
    """The simulated process died. No code of the worker may survive this, so it is no `Exception`."""


@dataclass
class Death:
    """The next death: in which write from now, after how much of it, and whether the machine dies as well."""

    write: int
    percent: int
    power: bool


class Disk:
    """What outlives the process. `content` is what was written, of which the first `synced` bytes are safe."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.synced = 0
        self.writes = 0
        self.deaths: list[Death] = []
        self.dead = False
        self.open = 0

    def revive(self) -> None:
        """Start the next process."""
        self.dead = False
        self.open = 0
        self.synced = len(self.content)

    def check_alive(self) -> None:
        """Raise for a process that is dead already: what its cleanup does must have no effect."""
        if self.dead:
            raise Killed

    def write(self, data: bytes) -> None:
        self.check_alive()
        death = next((death for death in self.deaths if death.write == self.writes), None)
        self.writes += 1
        if death is None:
            self.content += data
            return
        self.content += data[: len(data) * death.percent // 100]
        self.dead = True
        if death.power:
            del self.content[self.synced :]
        raise Killed


class DiskStorage:
    """The journal's view of the disk, as one process has it."""

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
