"""The Jobs that may still be running when a fleet ends early, and how to continue or delete them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from trioworker.fleet.kubernetes.fixed import SELECTOR

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

MAX_NAMES = 5
"""Maximum number of Jobs that the command for deleting them names."""


def kubectl_command(kubeconfig: Path | None, context: str | None, namespace: str) -> str:
    """Return the beginning of a command for the namespace of a fleet."""
    options = (
        ("--kubeconfig", None if kubeconfig is None else str(kubeconfig)),
        ("--context", context),
        ("-n", namespace),
    )
    return shlex.join(["kubectl", *(text for name, value in options if value is not None for text in (name, value))])


def describe_leftovers(names: Collection[str], namespace: str, command: str) -> str | None:
    """Say that these Jobs may still be running, and what to do.

    `command` is the beginning of a kubectl command.
    """
    if not names:
        return None
    jobs, them = ("1 Job", "it") if len(names) == 1 else (f"{len(names)} Jobs", "them")
    if len(names) <= MAX_NAMES:
        delete = f"delete {them}: {command} delete job {' '.join(sorted(names))}"
    else:
        delete = f"delete all Jobs of fleets there: {command} delete job -l {SELECTOR}"
    return f"{jobs} may still be running in the namespace {namespace}; run the same command to continue, or {delete}"
