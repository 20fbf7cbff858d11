"""Options: what defines one, how it appears in a parser, and where its value comes from.

An option takes precedence over `TRIOWORKER_<OPTION>`, which takes precedence over the `IRONCLAW_*` variable that the
contract names.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trioworker.cli.values import one_of
from trioworker.errors import ConfigError
from trioworker.protocol import values as contract_values
from trioworker.protocol.values import TOKEN_VARIABLE, alternatives

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a subcommand.

    Attributes:
        name: as on the command line, without the dashes.
        metavar: the placeholder of its value in the help; empty for a switch, which takes no value.
        parse: parses the value; raises `ValueError` with what the value should be, to follow "is not".
        default: the default as text. None makes the option required; with an empty text, the value is None.
        help: one line, without a full stop.
        contract_variable: the variable that the contract defines for it, if there is one.
        default_help: how the help describes an empty default.
        variable: the environment variable that sets it, `TRIOWORKER_<NAME>` by default.
        group: the group that the help shows it in; options without one come first.
        separator: between the values of a list, to which each use of the option adds; empty for a single value.
        bare: its value if it is given without one; empty if it needs one.
    """

    name: str
    metavar: str
    parse: Callable[[str], Any]
    default: str | None
    help: str
    contract_variable: str = ""
    default_help: str = "none"
    variable: str = ""
    group: str = ""
    separator: str = ""
    bare: str = ""

    def __post_init__(self) -> None:
        if not self.variable:
            object.__setattr__(self, "variable", self.usual_variable)

    @property
    def usual_variable(self) -> str:
        """The variable that follows from its name."""
        return "TRIOWORKER_" + self.name.upper().replace("-", "_")

    @property
    def key(self) -> str:
        """Its name as an identifier."""
        return self.name.replace("-", "_")


def choice(
    name: str,
    metavar: str,
    help: str,  # noqa: A002 - as in argparse
    *choices: str,
    default: str,
    group: str = "",
) -> Option:
    """An option with a few values, which its help lists."""
    return Option(name, metavar, one_of(*choices), default, f"{help}: {alternatives(*choices)}", group=group)


def add_options(parser: argparse.ArgumentParser, options: Iterable[Option]) -> None:
    """Add the options to a parser, in their groups."""
    groups: dict[str, Any] = {"": parser}
    for option in options:
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        group = groups[option.group]
        # argparse replaces what follows a percent sign.
        text = help_of(option).replace("%", "%%")
        if not option.metavar:
            group.add_argument(f"--{option.name}", dest=option.key, action="store_const", const="on", help=text)
        elif option.separator:
            group.add_argument(f"--{option.name}", dest=option.key, metavar=option.metavar, action="append", help=text)
        elif option.bare:
            group.add_argument(
                f"--{option.name}", dest=option.key, metavar=option.metavar, nargs="?", const=option.bare, help=text
            )
        else:
            group.add_argument(f"--{option.name}", dest=option.key, metavar=option.metavar, help=text)


def help_of(option: Option) -> str:
    """The help of an option, with its default, and those of its variables that don't follow from its name."""
    notes = ["required"] if option.default is None else []
    if option.metavar and (option.default or (option.default is not None and option.default_help != "none")):
        notes.append(f"default: {option.default or option.default_help}")
    variables = (option.variable if option.variable != option.usual_variable else "", option.contract_variable)
    notes += filter(None, variables)
    return f"{option.help} ({'; '.join(notes)})" if notes else option.help


def resolve(options: Iterable[Option], arguments: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return each option's value, from the command line, a variable or its default.

    Raises:
        ConfigError: a value is missing or malformed.
    """
    return {option.key: _resolve(option, _joined(option, arguments.get(option.key)), environ) for option in options}


def _joined(option: Option, argument: str | list[str] | None) -> str | None:
    return option.separator.join(argument) if isinstance(argument, list) else argument


def _resolve(option: Option, argument: str | None, environ: Mapping[str, str]) -> Any:
    sources = [(f"--{option.name}", argument)]
    sources += [(name, environ.get(name)) for name in (option.variable, option.contract_variable) if name]
    # A container's configuration can often only empty a variable, not unset it: an empty one counts as unset.
    source, text = next(((name, text) for name, text in sources if text), (f"--{option.name}", option.default))
    if argument == "" or text is None:
        raise ConfigError(f"--{option.name} is missing: give it, or set {option.variable} ({option.help})")
    if not text:
        return None
    check_text(source, text)
    try:
        value = option.parse(text)
    except ValueError as error:
        raise ConfigError(f"{source}: {text[:200]!r} is not {error}") from error
    # A resolved path includes the names of its parents.
    check_text(source, str(value))
    return value


def check_text(source: str, text: str) -> None:
    """Refuse text with bytes that are invalid in the locale's encoding: events and requests can't contain them.

    Raises:
        ConfigError: there are such bytes.
    """
    if any("\ud800" <= character <= "\udfff" for character in text):
        encoding = sys.getfilesystemencoding().upper()
        raise ConfigError(
            f"{source}: {text[:200]!r} is not valid {encoding}; use another name or text, or set the locale"
        )


def user_state_dir(environ: Mapping[str, str]) -> Path:
    """Return the folder for our state in the user's home (XDG Base Directory Specification).

    Raises:
        ConfigError: the user has no home.
    """
    state = environ.get("XDG_STATE_HOME", "")
    try:
        home = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise ConfigError(f"user {os.getuid()} has no home folder; name a folder with --state-dir") from error
    check_text("XDG_STATE_HOME or the home folder", str(home))
    return home / "trioworker"


def token(environ: Mapping[str, str]) -> str:
    """Return the bearer token of the job.

    Raises:
        ConfigError: it is missing, or an HTTP header can't carry it.
    """
    text = environ.get(TOKEN_VARIABLE, "")
    if not text.strip():
        raise ConfigError(f"{TOKEN_VARIABLE} is not set: the orchestrator passes it to the container that it starts")
    try:
        return contract_values.bearer_token(text)
    except ValueError as error:
        # The value is a secret, so the message doesn't quote it.
        raise ConfigError(f"{TOKEN_VARIABLE} is not {error}") from error
