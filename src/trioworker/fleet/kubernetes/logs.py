"""Copies the logs of pods to files while they run: `--logs DIR` writes those of a job to DIR/JOB_ID.log.

A log is requested with `follow`, and again from where the response stopped, until the pod has ended and everything is
read. Nodes that don't support `follow` return what there is, so they are polled.
"""

from __future__ import annotations

import mmap
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING

import trio

from trioworker.errors import ConfigError
from trioworker.fleet.kubernetes.api.refusals import RequestRefusedError
from trioworker.supervision.nurseries import cancelled_after

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable
    from pathlib import Path

    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.kubernetes.api.client import KubernetesClient
    from trioworker.fleet.kubernetes.api.log_lines import LogLine
    from trioworker.fleet.kubernetes.api.objects import Pod

MAX_STREAMS = 50
"""Logs that are followed at the same time. Other logs are read once one of these, or their own pod, has ended."""
MAX_FINAL_READS = 5
"""Logs of ended pods that are read at the same time."""
RETRY_INTERVALS = (1.0, 2.0, 5.0, 10.0)
"""Seconds before a response that has ended is requested again; longer after each response without a new line."""
END_TIMEOUT = 5.0
"""Seconds after the end of a pod within which the response with its log must end."""
READ_TIMEOUT = 30.0
"""Seconds for reading the rest of an ended pod's log."""
CLOSE_TIMEOUT = 15.0
"""Seconds that a fleet waits for logs after its last job."""
NOT_FOUND = 404


class _PodLog:
    """The copy of one pod's log.

    Attributes:
        written: how many bytes of the log are in the file.
        since: the time of the last line in the file; "" if the node sends no times.
        ended: set when the pod has ended, after which it writes nothing.
        is_gone: whether the log is deleted.
    """

    def __init__(self, path: Path, pod: Pod) -> None:
        self.name = pod.metadata.name
        self.written = 0
        self.since = ""
        self.ended = trio.Event()
        self.is_gone = False
        self._path = path
        self._header = f"==> {self.name} on {pod.spec.node_name} <==\n".encode()

    def open(self) -> IO[bytes]:
        """Open the file at its end, where the log continues if an earlier fleet began to copy it.

        Raises:
            OSError: it can't be written.
        """
        file = self._path.open("a+b", buffering=0)
        if not self.written:
            place = _last_place(file, self._header)
            if place is None:
                file.write(self._header)
            else:
                self.written = file.seek(0, 2) - place
        return file

    def append(self, file: IO[bytes], line: LogLine, skipped: int) -> int:
        """Append a line without its first `skipped` bytes, and return how many are still to be skipped after it."""
        text = line.text[skipped:]
        file.write(text)
        self.written += len(text)
        self.since = line.time or self.since
        return skipped - (len(line.text) - len(text))

    async def over(self) -> None:
        """Wait until the pod has ended, and the response with its log should have ended, too."""
        await self.ended.wait()
        await trio.sleep(END_TIMEOUT)


class LiveLogs:
    """The log files in one folder. `see` gets the pods, and starts to copy their logs."""

    def __init__(
        self, client: KubernetesClient, folder: Path, notify: Callable[[str], None], nursery: trio.Nursery
    ) -> None:
        """The copies run in `nursery`; problems are shown by `notify`, each one once."""
        self._client = client
        self._folder = folder
        self._notify = notify
        self._nursery = nursery
        self._pods: dict[str, dict[str, _PodLog]] = {}
        self._streams = trio.CapacityLimiter(MAX_STREAMS)
        self._final_reads = trio.CapacityLimiter(MAX_FINAL_READS)
        self._problems: set[str] = set()
        self._copying = 0
        self._idle = trio.Event()

    def see(self, job: FleetJob, pods: Iterable[Pod]) -> None:
        """Update with all pods of a job: copy the logs of those that have started, and record which have ended."""
        known = self._pods.setdefault(job.job_id, {})
        present = {pod.metadata.uid: pod for pod in pods}
        for uid, pod in present.items():
            if uid not in known and _has_started(pod):
                known[uid] = _PodLog(self._folder / f"{job.job_id}.log", pod)
                self._copying += 1
                self._nursery.start_soon(self._copy, known[uid])
        for uid, log in known.items():
            if uid not in present or _has_ended(present[uid]):
                log.ended.set()

    async def close(self) -> None:
        """Complete the copies, for at most `CLOSE_TIMEOUT`."""
        for logs in self._pods.values():
            for log in logs.values():
                log.ended.set()
        with trio.move_on_after(CLOSE_TIMEOUT) as scope:
            while self._copying:
                self._idle = trio.Event()
                await self._idle.wait()
        if scope.cancelled_caught:
            logs = "1 log is" if self._copying == 1 else f"{self._copying} logs are"
            self._complain(f"{logs} incomplete: the cluster did not answer in time")

    async def _copy(self, log: _PodLog) -> None:
        try:
            await self._copy_to_end(log)
        except OSError as error:
            self._complain(f"{error.strerror}")
        except ConfigError as error:
            self._complain(str(error))
        finally:
            self._copying -= 1
            self._idle.set()

    async def _copy_to_end(self, log: _PodLog) -> None:
        idle = 0
        while not log.ended.is_set() and not log.is_gone:
            written = log.written
            async with cancelled_after(log.over), self._streams:
                await self._read(log)
            idle = 0 if log.written > written else idle + 1
            with trio.move_on_after(RETRY_INTERVALS[min(idle, len(RETRY_INTERVALS) - 1)]):
                await log.ended.wait()
        if not log.is_gone:
            with trio.move_on_after(READ_TIMEOUT):
                async with self._final_reads:
                    await self._read(log, is_last=True)

    async def _read(self, log: _PodLog, *, is_last: bool = False) -> None:
        """Append the lines that are not in the file yet, up to the end of the answer."""
        with log.open() as file:
            # With a time, the response begins after it.
            skipped = 0 if log.since else log.written
            last: LogLine | None = None
            try:
                async with self._client.follow_log(log.name, log.since) as lines:
                    async for line in lines:
                        if last is not None:
                            skipped = log.append(file, last, skipped)
                        last = None if line.text.endswith(b"\n") else line
                        if last is None:
                            skipped = log.append(file, line, skipped)
                # If the connection was lost within a line that has a time, the next response contains the whole line.
                if last is not None and (is_last or not last.time):
                    log.append(file, last, skipped)
            except RequestRefusedError as error:
                # 400: the container hasn't started.
                log.is_gone = error.status == NOT_FOUND
                if not log.is_gone and log.ended.is_set():
                    self._complain(str(error))

    def _complain(self, text: str) -> None:
        if text not in self._problems:
            self._problems.add(text)
            self._notify(f"--logs {self._folder}: {text}")


@asynccontextmanager
async def open_live_logs(
    client: KubernetesClient, folder: Path, notify: Callable[[str], None]
) -> AsyncGenerator[LiveLogs]:
    """Copy logs while the block runs."""
    async with trio.open_nursery() as nursery:
        yield LiveLogs(client, folder, notify, nursery)
        nursery.cancel_scope.cancel()


def _has_started(pod: Pod) -> bool:
    return pod.worker.running is not None or pod.worker.terminated is not None


def _has_ended(pod: Pod) -> bool:
    return pod.worker.terminated is not None or pod.has_ended


def _last_place(file: IO[bytes], header: bytes) -> int | None:
    """The offset after the last such header in the file; None if it contains none."""
    if not file.seek(0, 2):
        return None
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.rfind(header)
    return None if place < 0 else place + len(header)
