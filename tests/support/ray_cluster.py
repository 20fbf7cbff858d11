"""A Ray cluster of several nodes on this machine, and the workers on it."""

from __future__ import annotations

import socket
import sys
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

STORE_BYTES = 80 * 1024 * 1024
TIMEOUT = 900.0
"""Seconds until a condition must hold, on a busy machine: each process of Ray takes a second of a processor."""


class RayCluster:
    """A head node without processors, which runs no workers, and nodes with some."""

    def __init__(self, port: int) -> None:
        self._kind: Any = import_module("ray.cluster_utils").Cluster
        self._port = port
        self._cluster: Any = None
        self.start()

    @property
    def address(self) -> str:
        return self._cluster.address

    def start(self) -> None:
        """Start the head node; also after `stop`, at the same address."""
        options = {"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        self._cluster = self._kind(initialize_head=True, head_node_args={**options, "gcs_server_port": self._port})

    def add_node(self, cpus: int, python: Path | None = None) -> Any:
        """Start a node, whose workers run by another interpreter if `python` is given."""
        with pytest.MonkeyPatch.context() as patch:
            if python is not None:
                # From there, Ray takes the command of the node's workers.
                patch.setattr(sys, "executable", str(python))
                patch.delenv("PYTHONPATH", raising=False)
            node = self._cluster.add_node(num_cpus=cpus, object_store_memory=STORE_BYTES)
        self._cluster.wait_for_nodes(timeout=TIMEOUT)
        return node

    def kill_node(self, node: Any) -> None:
        self._cluster.remove_node(node, allow_graceful=False)

    def stop(self) -> None:
        """Kill all nodes, the head last."""
        for node in filter(None, [*self._cluster.worker_nodes, self._cluster.head_node]):
            node.kill_all_processes(check_alive=False, allow_graceful=False)
        self._cluster.worker_nodes.clear()
        self._cluster.head_node = None
        self._cluster.shutdown()


@contextmanager
def ray_cluster() -> Generator[RayCluster]:
    with socket.socket() as server:
        server.bind(("", 0))
        port = server.getsockname()[1]
    cluster = RayCluster(port)
    try:
        yield cluster
    finally:
        cluster.stop()


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    with trio.fail_after(TIMEOUT):
        while not condition():  # noqa: ASYNC110 - processes and databases have no event for it
            await trio.sleep(0.2)


def workers_of(folder: Path) -> int:
    """Count the workers with a workspace under `folder`."""
    count = 0
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = entry.read_bytes()
            count += b"\0worker\0" in line and f"--workspace={folder}/".encode() in line and b"pdeathsig" not in line
    return count
