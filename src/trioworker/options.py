"""The worker's options: one table, from which the command line, the help and the look-up of variables come.

An option beats `TRIOWORKER_<OPTION>`, which beats the `IRONCLAW_*` variable that the contract names.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from trioworker import config
from trioworker.errors import ConfigError
from trioworker.limits import DEFAULT_CONTEXT_TOKENS
from trioworker.observe.health_check import MAX_SOCKET_PATH_BYTES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping

TOKEN_VARIABLE = "IRONCLAW_WORKER_TOKEN"  # noqa: S105 - the variable's name


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `parse` raises `ValueError` with what the value should be; without a default it is required.

    An empty default makes the value None unless it is given.
    """

    name: str
    metavar: str
    parse: Callable[[str], Any]
    default: str | None
    help: str
    contract_variable: str = ""

    @property
    def variable(self) -> str:
        """The variable of ours that stands in for the option."""
        return "TRIOWORKER_" + self.name.upper().replace("-", "_")

    @property
    def key(self) -> str:
        """The option's name as an identifier."""
        return self.name.replace("-", "_")


def uuid(text: str) -> str:
    """A UUID, as it was written."""
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text):
        raise ValueError("a UUID, such as 123e4567-e89b-12d3-a456-426614174000")
    return text


def http_url(text: str) -> str:
    """An http or https URL with a host, to which paths can be added; a user in it would take the token's header."""
    wanted = "an http:// or https:// URL with a host, and no user, query or fragment"
    try:
        parts = urlsplit(text)
        usable = (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        )
    except ValueError as error:
        raise ValueError(wanted) from error
    if not usable or not text.isprintable() or re.search(r"[\s?#]", text):
        raise ValueError(wanted)
    return text


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return parse


def seconds(text: str) -> float:
    """A number of seconds over 0, of a week at the most."""
    wanted = "a number of seconds over 0"
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(wanted) from error
    if not 0 < value <= 7 * 24 * 3600:
        raise ValueError(wanted)
    return value


def cores(text: str) -> float:
    """A number of processors, also a part of one."""
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text) or float(text) == 0:
        raise ValueError("a number of processors over 0, such as 0.5")
    return float(text)


def directory(text: str) -> Path:
    """A folder that is there."""
    # Unlike Path's, it has no errors of its own: what can't be looked at is none.
    if not os.path.isdir(text):
        raise ValueError("a folder that exists")
    return Path(text).resolve()


class Paths(tuple[Path, ...]):
    """Paths, written as the option that they came from."""

    __slots__ = ()

    def __str__(self) -> str:
        return ":".join(map(str, self))


def existing_paths(text: str) -> Paths:
    """Folders or files that are there, separated by colons."""
    names = [name for name in text.split(":") if name]
    if not names or not all(map(os.path.exists, names)):
        raise ValueError("folders or files that exist, separated by colons")
    return Paths(Path(name).resolve() for name in names)


def socket_path(text: str) -> Path:
    """A path that a Unix socket can have."""
    if len(os.fsencode(text)) > MAX_SOCKET_PATH_BYTES or "\0" in text:
        raise ValueError(f"a path of {MAX_SOCKET_PATH_BYTES} bytes at the most, all that a Unix socket can have")
    return Path(text)


def one_of(*choices: str) -> Callable[[str], str]:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(" or ".join(choices))
        return text

    return parse


HEALTH_OPTION = Option("health-socket", "FILE", socket_path, "", "Unix socket that `trioworker health` asks")
RUN_OPTIONS = (
    Option(
        "max-iterations",
        "N",
        whole(1, config.MAX_ITERATIONS_LIMIT),
        str(config.DEFAULT_MAX_ITERATIONS),
        "iterations at the most, 1 to 500",
        "IRONCLAW_MAX_ITERATIONS",
    ),
    Option("timeout", "SECONDS", seconds, f"{config.DEFAULT_TIMEOUT:g}", "time for the whole job"),
    Option("grace", "SECONDS", seconds, f"{config.DEFAULT_GRACE:g}", "time to report after a signal or the time-out"),
    Option(
        "context-limit",
        "TOKENS",
        whole(1_000, 100_000_000),
        str(DEFAULT_CONTEXT_TOKENS),
        "estimated tokens beyond which old tool results are folded",
    ),
    Option("reasoning", "MODE", one_of("single", "two-phase"), "single", "requests per iteration: single or two-phase"),
    Option(
        "containment",
        "MODE",
        one_of("auto", "require", "off"),
        "auto",
        "confine commands by what the kernel offers: auto, require or off",
    ),
    Option("allow-write", "PATHS", existing_paths, "", "where else commands may write, separated by colons"),
    Option("log-level", "LEVEL", one_of("debug", "info", "warning", "error"), "info", "least level of the log"),
    Option("log-format", "FORMAT", one_of("text", "json"), "text", "form of the log: text or json"),
    Option("trace", "FILE", Path, "", "write a trace for Perfetto and speedscope"),
    Option("record", "FILE", Path, "", "record the job as a cassette, which --llm replay:FILE plays"),
    Option("instrument", "SPEC", str, "", "trio instrument to attach, as MODULE:NAME"),
    HEALTH_OPTION,
)
JOURNAL_OPTION = Option("state-dir", "DIR", Path, "", "folder of the journal, from which a restart resumes")
WORKSPACE_OPTION = Option("workspace", "DIR", directory, ".", "folder that the tools work in", "IRONCLAW_WORKSPACE")
WORKER_OPTIONS = (
    Option("job-id", "UUID", uuid, None, "the job to run", "IRONCLAW_JOB_ID"),
    Option(
        "orchestrator-url",
        "URL",
        http_url,
        config.DEFAULT_ORCHESTRATOR_URL,
        "where the orchestrator listens",
        "IRONCLAW_ORCHESTRATOR_URL",
    ),
    WORKSPACE_OPTION,
    JOURNAL_OPTION,
    *RUN_OPTIONS,
)


def add_options(parser: argparse.ArgumentParser, options: Iterable[Option]) -> None:
    """Give a parser the options, one line of help each."""
    for option in options:
        default = "required" if option.default is None else f"default {option.default or 'none'}"
        variables = ", ".join(filter(None, (option.variable, option.contract_variable)))
        parser.add_argument(
            f"--{option.name}", dest=option.key, metavar=option.metavar, help=f"{option.help} ({default}; {variables})"
        )


def resolve(options: Iterable[Option], arguments: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Each option's value, from the command line, a variable or its default.

    Raises:
        ConfigError: one is missing or is not what it should be.
    """
    return {option.key: _resolved(option, arguments, environ) for option in options}


def _resolved(option: Option, arguments: Mapping[str, Any], environ: Mapping[str, str]) -> Any:
    given = arguments.get(option.key)
    sources = [(f"--{option.name}", given)]
    sources += [(name, environ.get(name)) for name in (option.variable, option.contract_variable) if name]
    # An empty variable is how a container's configuration leaves one unset.
    source, text = next(((name, text) for name, text in sources if text), (f"--{option.name}", option.default))
    if given == "" or text is None:
        raise ConfigError(f"--{option.name} is missing: give it, or set {option.variable}")
    if not text:
        return None
    return parsed(source, text, option.parse)


def parsed(source: str, text: str, parse: Callable[[str], Any]) -> Any:
    """The value that `source` gives as `text`.

    Raises:
        ConfigError: it is not what it should be.
    """
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigError(f"{source}: {text[:200]!r} is not {error}") from error


def user_state_dir(environ: Mapping[str, str]) -> Path:
    """Where programs keep a user's state (XDG Base Directory Specification), a folder of ours in it."""
    home = environ.get("XDG_STATE_HOME", "")
    return (Path(home) if home.startswith("/") else Path.home() / ".local" / "state") / "trioworker"


def token(environ: Mapping[str, str]) -> str:
    """The bearer token of the job.

    Raises:
        ConfigError: it is missing, or no HTTP header can carry it.
    """
    value = environ.get(TOKEN_VARIABLE, "").strip()
    if not value:
        raise ConfigError(f"{TOKEN_VARIABLE} is not set: the orchestrator gives it to the container that it starts")
    if not (value.isascii() and value.isprintable()):
        raise ConfigError(f"{TOKEN_VARIABLE} holds characters that no HTTP header can carry")
    return value
