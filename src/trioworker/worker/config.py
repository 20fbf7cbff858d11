"""The configuration of a worker: one frozen struct, from arguments and environment."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

import msgspec

from trioworker.errors import ConfigError
from trioworker.protocol import values
from trioworker.protocol.limits import DEFAULT_CONTEXT_TOKENS, DEFAULT_EVENT_QUEUE, KIB
from trioworker.protocol.url_passwords import hide_url_passwords

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[object], object]

ReasoningMode = Literal["single", "two-phase"]
ContainmentMode = Literal["auto", "require", "off"]

DEFAULT_ORCHESTRATOR_URL = "http://host.docker.internal:50051"
"""Where the orchestrator listens, as seen from a container (contract, 'How a worker is started')."""
DEFAULT_MAX_ITERATIONS = 50
MAX_ITERATIONS_LIMIT = 500
DEFAULT_TIMEOUT = 590.0
"""Seconds of a job. The host gives up 600 s after it created the container, on a clock that starts before ours."""
DEFAULT_GRACE = 8.0
"""Seconds of the shutdown after a signal or at the deadline: a container gets 10 s from SIGTERM to SIGKILL."""
DEFAULT_LLM_TIMEOUT = 300.0
"""Time limit in seconds of one attempt to get a reply: long thoughts of slow models arrive in one piece."""
DEFAULT_MAX_TOKENS = 16_384
"""Maximum length of a reply in tokens (contract, 'HTTP'): a long file doesn't fit into the original's 4,096."""
DEFAULT_OUTPUT_LIMIT = 30 * KIB
"""Bytes of a tool's result that the model sees (contract, 'Tools')."""
DEFAULT_POLL_INTERVAL = 1.0
"""Seconds between two polls for a follow-up prompt."""
CONTEXT_LIMIT_RANGE = 1_000, 100_000_000
TOKEN_BUDGET_RANGE = 1, 999_999_999
MAX_TOKENS_RANGE = 1, 10_000_000
OUTPUT_LIMIT_RANGE = 1_000, 1_000_000
EVENT_QUEUE_RANGE = 1, 1_000_000
"""The lowest and the highest value of these fields."""


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the run of a job depends on. The defaults and the accepted values are those of the command line.

    Paths may also be text, and relative to the current folder. `repr` never shows the token or a password in the URL.

    Raises:
        ConfigError: a value can't be used; the message names the field.
    """

    job_id: str
    """The job's UUID."""
    token: str
    """The job's bearer token."""
    workspace: Path
    """The folder that the tools work in."""
    orchestrator_url: str = DEFAULT_ORCHESTRATOR_URL
    """Where the orchestrator listens."""
    max_iterations: int = DEFAULT_MAX_ITERATIONS
    """Maximum number of iterations, 1 to 500."""
    timeout: float = DEFAULT_TIMEOUT
    """Time limit of the whole job in seconds."""
    grace: float = DEFAULT_GRACE
    """Seconds to report the end after a stop or the time-out."""
    time_from: float | None = None
    """Seconds of CLOCK_MONOTONIC from which `timeout` counts for a resumed job; None: since the job was opened."""
    reasoning: ReasoningMode = "single"
    """How many requests an iteration makes: `single` or `two-phase`."""
    poll_interval: float = DEFAULT_POLL_INTERVAL
    """Seconds between two polls for a follow-up prompt."""
    event_queue: int = DEFAULT_EVENT_QUEUE
    """Events that may wait for delivery before the job waits for them."""
    context_limit: int = DEFAULT_CONTEXT_TOKENS
    """Maximum number of tokens of a request and its reply; above it, old messages are compacted."""
    token_budget: int | None = None
    """Input plus output tokens of the whole job; None means no limit."""
    max_tokens: int = DEFAULT_MAX_TOKENS
    """Maximum length of a reply in tokens."""
    llm_timeout: float = DEFAULT_LLM_TIMEOUT
    """Time limit in seconds of one attempt to get a reply from the model."""
    output_limit: int = DEFAULT_OUTPUT_LIMIT
    """Maximum size in bytes of a tool's result that the model sees."""
    state_dir: Path | None = None
    """The folder of the journal; without one, the job does not survive its process."""
    containment: ContainmentMode = "auto"
    """Run commands in the sandbox that the kernel offers; `require` refuses a partial one, and `off` uses none."""
    allow_write: tuple[Path, ...] | None = None
    """Where commands may write, besides the workspace and temporary folders."""
    pass_env: tuple[str, ...] | None = None
    """Names of variables that commands inherit in addition."""
    trace: Path | None = None
    """The file to write a trace of the job to."""
    health_socket: Path | None = None
    """The Unix socket that `trioworker health` connects to."""

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            problem = _check(self, name, check)
            if problem:
                # Without the error of the check as its context: a program's log may show the variables in its frames.
                raise ConfigError(problem)

    def __repr__(self) -> str:
        return f"WorkerConfig(job_id={self.job_id!r}, orchestrator_url={hide_url_passwords(self.orchestrator_url)!r})"


def _check(config: WorkerConfig, name: str, check: Check) -> str:
    """Replace a field by its checked value. Returns what is wrong with it, empty if nothing is."""
    value = getattr(config, name)
    if value is None and name in _OPTIONAL:
        return ""
    try:
        checked = check(value)
    except ValueError as error:
        shown = "" if name == "token" else f" {hide_url_passwords(repr(value)):.80}"
        return f"WorkerConfig: {name}{shown} is not {error}"
    msgspec.structs.force_setattr(config, name, checked)
    return ""


def _whole(limits: tuple[int, int]) -> Check:
    return partial(values.whole_number, minimum=limits[0], maximum=limits[1])


def _one_of(choices: tuple[str, ...]) -> Check:
    return lambda value: values.one_of(value, *choices)


def _each(check: Check, wanted: str) -> Check:
    """A check of a sequence, by a check of its items. `wanted` describes a valid one."""

    def check_all(value: object) -> object:
        if not isinstance(value, list | tuple):
            raise ValueError(wanted)
        try:
            return tuple(map(check, cast("list[object]", value)))
        except ValueError as error:
            raise ValueError(wanted) from error

    return check_all


_CHECKS: dict[str, Check] = {
    "job_id": values.job_id,
    "token": values.bearer_token,
    "workspace": values.absolute_path,
    "orchestrator_url": values.http_url,
    "max_iterations": _whole((1, MAX_ITERATIONS_LIMIT)),
    "timeout": values.seconds,
    "grace": values.seconds,
    "time_from": values.monotonic_seconds,
    "reasoning": _one_of(get_args(ReasoningMode)),
    "poll_interval": values.seconds,
    "event_queue": _whole(EVENT_QUEUE_RANGE),
    "context_limit": _whole(CONTEXT_LIMIT_RANGE),
    "token_budget": _whole(TOKEN_BUDGET_RANGE),
    "max_tokens": _whole(MAX_TOKENS_RANGE),
    "llm_timeout": values.seconds,
    "output_limit": _whole(OUTPUT_LIMIT_RANGE),
    "state_dir": values.absolute_path,
    "containment": _one_of(get_args(ContainmentMode)),
    "allow_write": _each(values.absolute_path, "a sequence of paths"),
    "pass_env": _each(values.variable_name, "a sequence of names of variables, such as ['PGHOST']"),
    "trace": values.absolute_path,
    "health_socket": values.socket_path,
}
_OPTIONAL = {field.name for field in msgspec.structs.fields(WorkerConfig) if field.default is None}
