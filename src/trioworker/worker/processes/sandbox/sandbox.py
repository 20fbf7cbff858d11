"""The wall around a job's commands: how high it can be here, found out by building it before the job begins."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trioworker.errors import ConfigError
from trioworker.linux import landlock
from trioworker.worker.processes.environment import child_environment
from trioworker.worker.processes.sandbox import launcher
from trioworker.worker.processes.sandbox.resource_limits import limits
from trioworker.worker.processes.sandbox.writable_paths import in_container, is_within, writable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from trioworker.worker.config import WorkerConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Sandbox:
    """What each command is confined by.

    Attributes:
        raised: there is any wall: commands are to be started by the launcher.
        landlock: the version of Landlock in force, 0 for none.
        ruleset: the descriptor of its rules, -1 for none.
        limits: resource limits by their number.
        gap: what is missing and why, for people; empty when nothing is.
    """

    enabled: bool
    landlock: int = 0
    ruleset: int = -1
    limits: Mapping[int, int] = field(default_factory=dict[int, int])
    gap: str = ""

    @property
    def level(self) -> str:
        """The level reached, in words."""
        parts = [f"landlock {self.landlock}"] if self.landlock else []
        parts += ["no_new_privs", "limits"] if self.enabled else ["none"]
        return ", ".join(parts)

    @property
    def summary(self) -> str:
        """The level and what is missing, in one line."""
        return f"containment: {self.level}" + (f"; {self.gap}" if self.gap else "")


NO_SANDBOX = Sandbox(enabled=False, gap="switched off")
"""For `--containment off`."""


@contextmanager
def open_sandbox(config: WorkerConfig, *, offered: Callable[[], int] = landlock.version) -> Generator[Sandbox]:
    """The wall that the configuration asks for and the kernel offers; `offered` tells its version of Landlock.

    Raises:
        ConfigError: `require` asks for what can't be had.
    """
    sandbox = NO_SANDBOX if config.containment == "off" else _enabled_sandbox(config, offered())
    try:
        if config.containment == "require" and sandbox.gap:
            raise ConfigError(f"--containment require: {sandbox.gap}; mend that, or use --containment auto")
        yield sandbox
    finally:
        if sandbox.ruleset >= 0:
            os.close(sandbox.ruleset)


def _enabled_sandbox(config: WorkerConfig, offered: int) -> Sandbox:
    gap = _obstacle()
    if gap:
        return Sandbox(enabled=False, gap=gap)
    bounds = limits(config.timeout)
    if offered < landlock.LEAST_VERSION:
        gap = "this kernel offers no Landlock" + (f" that will do (version {offered})" if offered else "")
        return Sandbox(enabled=True, limits=bounds, gap=gap)
    places = writable(
        config.workspace,
        child_environment(os.environ, {}),
        state_dir=config.state_dir,
        more=config.allow_write or (),
        contained=in_container(),
    )
    version = min(offered, landlock.NEWEST_VERSION)
    ruleset = -1
    try:
        ruleset = landlock.open_ruleset(version, places)
        _try_on(ruleset)
    except OSError as error:
        if ruleset >= 0:
            os.close(ruleset)
        return Sandbox(enabled=True, limits=bounds, gap=f"Landlock is offered and fails: {error.strerror}")
    if config.state_dir is not None and is_within(config.state_dir, places):
        gap = f"commands may write to the journal's folder {config.state_dir}; choose another --state-dir"
    return Sandbox(enabled=True, landlock=version, ruleset=ruleset, limits=bounds, gap=gap)


def _obstacle() -> str:
    """Why no launcher can be had here; empty if it can."""
    if os.uname().machine not in launcher.SYS_CLONE:
        return f"not known how to on {os.uname().machine}"
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return "this kernel lacks pidfd_open"
    return ""


def _try_on(ruleset: int) -> None:
    """Confine a thread that ends at once, as the launcher will be confined.

    Raises:
        OSError: the kernel refuses.
    """
    failures: list[OSError] = []

    def try_on() -> None:
        try:
            launcher.confine(ruleset)
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=try_on, name="containment")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
