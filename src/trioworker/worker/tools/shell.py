"""`shell`: runs a command line in the workspace, without a terminal or input."""

from __future__ import annotations

import errno
import math
import os
import posixpath
import shlex
import signal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

import trio
from msgspec import Meta

from trioworker.errors import ToolError
from trioworker.protocol.limits import MIB
from trioworker.worker.processes.output import MAX_COLLECTED_BYTES
from trioworker.worker.processes.termination import KILL_DELAY, TERMINATION_TIMEOUT
from trioworker.worker.tools.base import Parameters, Tool, ToolResult
from trioworker.worker.tools.other_names import (
    FOLDER_NAMES,
    OtherNames,
    ignored,
    ignored_if,
    names_of,
    whole_number,
)
from trioworker.worker.tools.workspace import translate_oserror

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trioworker.worker.tools.base import ToolContext
    from trioworker.worker.tools.workspace import Workspace

DEFAULT_TIMEOUT = 120.0
"""Seconds that a command may run by default (contract, 'Tools')."""
OUTER_MARGIN = TERMINATION_TIMEOUT + KILL_DELAY + 10.0
"""Seconds beyond the command's own time-out, in which its process tree is terminated and its output collected."""
MAX_SECONDS = 3600
"""A greater time-out is taken as milliseconds, the unit of other agents' tools."""
REPORT_SECONDS, REPORT_SHARE = 45.0, 0.25
"""Time that a command leaves for the model's report: these seconds, or this share of the remaining time if less."""
NO_OUTPUT = "[no output]"
INCOMPLETE = (
    f"[only the first and last {MAX_COLLECTED_BYTES // MIB // 2} MiB of the output were kept, also in the file; "
    "to keep all of it, redirect it to a file of your own]"
)
MAX_COMMAND_BYTES = 128 * 1024 - 1
"""Bytes of one argument of a program: the kernel's MAX_ARG_STRLEN (execve(2)) without its NUL."""
SIGNAL_BASE = 128
"""A command that signal N killed has the exit code 128 + N, as in shells."""


SHELLS = frozenset({"bash", "sh"})
COMMAND_OF_SHELL = 3
"""Number of words in `bash -c COMMAND`."""


def _command_line(value: Any, _given: Mapping[str, Any]) -> Mapping[str, Any]:
    """A list of words, as OpenAI's `shell` takes, as a command line."""
    if not isinstance(value, list):
        return {"command": value}
    words = cast("list[Any]", value)
    if not words or not all(isinstance(word, str) for word in words):
        raise ValueError("expected a command line or a list of words")
    if posixpath.basename(words[0]) == "apply_patch":
        raise ValueError("to change files, call the tool apply_patch")
    if len(words) == COMMAND_OF_SHELL and posixpath.basename(words[0]) in SHELLS and words[1] in ("-c", "-lc"):
        return {"command": words[2]}
    return {"command": shlex.join(words)}


def _milliseconds(value: Any, _given: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"timeout": whole_number(value) / 1000}


_not_in_background = ignored_if(False, "to run a command in the background, end it with ` &`")


class ShellParameters(Parameters, frozen=True, kw_only=True):
    """Parameters of `shell`."""

    other_names: ClassVar[OtherNames] = {
        **names_of("command", "cmd", "script", "command_line", "shell_command", "bash_command", "commands"),
        **names_of("workdir", *FOLDER_NAMES, "working_directory", "working_dir", "work_dir"),
        **names_of("timeout", "timeout_seconds", "timeout_secs", "timeout_sec", "timeout_s"),
        "command": _command_line,
        "timeout_ms": _milliseconds,
        "timeout_milliseconds": _milliseconds,
        "run_in_background": _not_in_background,
        "is_background": _not_in_background,
        "background": _not_in_background,
        "requires_approval": ignored,
        "security_risk": ignored,
    }

    command: Annotated[str, Meta(description="The command line to run.")]
    workdir: (
        Annotated[str, Meta(description="The folder to run it in, relative to the workspace (default: the workspace).")]
        | None
    ) = None
    timeout: Annotated[float, Meta(gt=0, description="Time limit in seconds (default: 120).")] | None = None


class Shell(Tool[ShellParameters]):
    """Runs a command line; its background processes live until the job ends."""

    name = "shell"
    description = (
        "Run a command line with bash, with no input. Returns stdout and stderr together, at most 30 KiB. Start "
        "servers in the background with `&`."
    )
    parameters = ShellParameters
    timeout = DEFAULT_TIMEOUT

    def time_limit(self, parameters: ShellParameters) -> float:
        """More than the command's own time-out, which therefore always comes first and keeps the output."""
        return self._requested(parameters) + OUTER_MARGIN

    async def run(self, parameters: ShellParameters, context: ToolContext) -> ToolResult:
        """Run the command.

        Raises:
            ToolError: it is refused, its folder does not exist, or it timed out, which includes the output until then.
        """
        _check(parameters.command)
        requested = self._requested(parameters)
        seconds = min(requested, _available(context.deadline - trio.current_time()))
        lowered = f"[timeout lowered to {round(seconds, 2):g} s, because the job is almost out of time]"
        workdir = parameters.workdir or "."
        shown = context.workspace.shown(workdir)
        directory = await context.run_in_thread(_opened, context.workspace, workdir)
        try:
            with translate_oserror("run in", shown):
                ended = await context.processes.run(
                    [_shell(context.environment.get("PATH")), "-c", parameters.command],
                    directory=directory,
                    environment=context.environment,
                    timeout=seconds,
                )
        finally:
            os.close(directory)
        lines = [ended.output.removesuffix("\n")] if ended.output else []
        if not ended.is_complete:
            lines.append(INCOMPLETE)
        if ended.exit_code is None:
            first = [f"timed out after {round(seconds, 2):g} s; output until then:", *(lines or [NO_OUTPUT])]
            raise ToolError("\n".join(first + ([lowered] if seconds < requested else [])))
        code = ended.exit_code if ended.exit_code >= 0 else SIGNAL_BASE - ended.exit_code
        if code:
            lines += _signal(code)
            lines.append(f"[exit code {code}]")
        if parameters.timeout and seconds < requested:
            lines.append(lowered)
        return ToolResult(text="\n".join(lines or [NO_OUTPUT]), exit_code=code)

    def _requested(self, parameters: ShellParameters) -> float:
        timeout = parameters.timeout or self.timeout
        return timeout / 1000 if timeout > MAX_SECONDS else timeout


def _signal(code: int) -> list[str]:
    """The signal that an exit code stands for, as a line."""
    try:
        return [f"[killed by {signal.Signals(code - SIGNAL_BASE).name}]"]
    except ValueError:
        return []


def _available(left: float) -> float:
    """The seconds that a command may take when the job has `left` seconds."""
    return max(left - min(REPORT_SECONDS, left * REPORT_SHARE), 0.0) if left < math.inf else left


def _opened(workspace: Workspace, workdir: str) -> int:
    with translate_oserror("enter", workspace.shown(workdir)):
        return workspace.open_directory(workdir)


def _check(command: str) -> None:
    # Imported at the first command, since compiling its patterns takes a while.
    from trioworker.worker.tools.command_denylist import refusal

    try:
        size = len(command.encode())
    except UnicodeEncodeError as error:
        raise ToolError(f"command: not valid Unicode at character {error.start}") from error
    if size > MAX_COMMAND_BYTES:
        raise ToolError(f"command: {size} bytes exceed the limit of {MAX_COMMAND_BYTES}; write a script and run it")
    refused = refusal(command)
    if refused:
        raise ToolError(f"refused: {refused}")


def _shell(search: str | None) -> str:
    """Bash if it is installed, since models write for it."""
    import shutil

    found = shutil.which("bash", path=search) or shutil.which("sh", path=search)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "no bash and no sh in PATH")
    return found
