"""Where and when it was measured: a figure without that is none."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("trioworker", "trio", "httpx", "httpcore", "h11", "msgspec", "loguru", "google-re2")


def machine() -> dict[str, Any]:
    """Processor, cores, memory, kernel, Python and libraries, the date, and how busy it was."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "load": [round(load, 2) for load in os.getloadavg()],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def told(seen: dict[str, Any]) -> str:
    """The same in a line."""
    return (
        f"{seen['date']}, {seen['processor']}, {seen['cores']} cores, {seen['memory_gib']} GiB, "
        f"load {seen['load'][0]}, Linux {seen['kernel']}, Python {seen['python']}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
