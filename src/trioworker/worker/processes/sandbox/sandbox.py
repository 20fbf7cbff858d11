"""Creates the sandbox of a job's commands before the job starts, and reports what it enforces here."""

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
from trioworker.worker.processes.sandbox.denied_calls import command_filter
from trioworker.worker.processes.sandbox.resource_limits import resource_limits
from trioworker.worker.processes.sandbox.writable_paths import in_container, is_within, writable_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from trioworker.worker.config import WorkerConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Sandbox:
    """The restrictions of each command.

    Attributes:
        enabled: Commands are started by the launcher.
        landlock: The Landlock version in use, 0 for none.
        ruleset: The descriptor of the Landlock ruleset, -1 for none.
        call_filter: The seccomp filter, empty for none.
        limits: Resource limits by their `RLIMIT_` constant.
        gap: What is missing and why, as text; empty if nothing is missing.
    """

    enabled: bool
    landlock: int = 0
    ruleset: int = -1
    call_filter: bytes = b""
    limits: Mapping[int, int] = field(default_factory=dict[int, int])
    gap: str = ""

    @property
    def level(self) -> str:
        """What is enforced, such as `landlock 7, seccomp, no_new_privs, limits`."""
        parts = [f"landlock {self.landlock}"] if self.landlock else []
        parts += ["seccomp"] if self.call_filter else []
        parts += ["no_new_privs", "limits"] if self.enabled else ["none"]
        return ", ".join(parts)

    @property
    def summary(self) -> str:
        """The level and the gap, in one line."""
        return f"containment: {self.level}" + (f"; {self.gap}" if self.gap else "")


NO_SANDBOX = Sandbox(enabled=False, gap="switched off")
"""For `--containment off`."""


@contextmanager
def open_sandbox(config: WorkerConfig, *, offered: Callable[[], int] = landlock.version) -> Generator[Sandbox]:
    """Create the sandbox that the configuration requests, as far as the kernel supports it.

    `offered` returns the kernel's Landlock version.

    Raises:
        ConfigError: `--containment require`, and there is a gap.
    """
    sandbox = NO_SANDBOX if config.containment == "off" else _enabled_sandbox(config, offered())
    try:
        if config.containment == "require" and sandbox.gap:
            raise ConfigError(f"--containment require: {sandbox.gap}; fix that, or use --containment auto")
        yield sandbox
    finally:
        if sandbox.ruleset >= 0:
            os.close(sandbox.ruleset)


def _enabled_sandbox(config: WorkerConfig, offered: int) -> Sandbox:
    gap = _missing_requirement()
    if gap:
        return Sandbox(enabled=False, gap=gap)
    limits, call_filter = resource_limits(config.timeout), _usable_filter()
    if offered < landlock.MIN_VERSION:
        gap = "this kernel offers no Landlock" + (f" that is new enough (version {offered})" if offered else "")
        return Sandbox(enabled=True, call_filter=call_filter, limits=limits, gap=gap)
    paths = writable_paths(
        config.workspace,
        child_environment(os.environ, {}),
        state_dir=config.state_dir,
        more=config.allow_write or (),
        contained=in_container(),
    )
    version = min(offered, landlock.MAX_VERSION)
    ruleset = -1
    try:
        # Programs of the user, such as tmux and ssh-agent, listen in /tmp and $HOME.
        sockets = [path.resolve() for path in (config.workspace, *(config.allow_write or ()))]
        ruleset = landlock.open_ruleset(version, paths, sockets=sockets)
        _test(ruleset)
    except OSError as error:
        if ruleset >= 0:
            os.close(ruleset)
        return Sandbox(enabled=True, call_filter=call_filter, limits=limits, gap=f"Landlock failed: {error.strerror}")
    if config.state_dir is not None and is_within(config.state_dir, paths):
        gap = f"commands may write to the journal's folder {config.state_dir}; choose another --state-dir"
    return Sandbox(enabled=True, landlock=version, ruleset=ruleset, call_filter=call_filter, limits=limits, gap=gap)


def _missing_requirement() -> str:
    """Why the launcher can't run here; empty if it can."""
    if os.uname().machine not in launcher.SYS_CLONE:
        return f"no support for {os.uname().machine}"
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return "this kernel lacks pidfd_open"
    return ""


def _usable_filter() -> bytes:
    """The seccomp filter; empty if the kernel refuses it."""
    call_filter = command_filter()
    try:
        _test(-1, call_filter)
    except OSError:
        return b""
    return call_filter


def _test(ruleset: int, call_filter: bytes = b"") -> None:
    """Confine a short-lived thread, as the launcher will confine itself.

    Raises:
        OSError: The kernel refuses.
        ConfigError: The thread can't be started.
    """
    failures: list[OSError] = []

    def confine() -> None:
        try:
            launcher.confine(ruleset, call_filter)
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=confine, name="containment")
    try:
        thread.start()
    except RuntimeError as error:
        raise ConfigError(f"the sandbox can't be tested: {error}; raise the limit on processes") from error
    thread.join()
    if failures:
        raise failures[0]
