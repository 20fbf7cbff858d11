"""Prints docs/options.md, made from the table of options; `scripts/options-page` writes it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from trioworker.cli.commands import COMMANDS
from trioworker.cli.run_options import RUN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trioworker.cli.commands import Command
    from trioworker.cli.options import Option

COLUMNS = 120
INTRODUCTION = """\
<!-- Made by scripts/options-page. -->

# Options

An option's value is taken from the command line, else from its variable; if neither is set, the default applies. The
variable of `--max-tokens` is `TRIOWORKER_MAX_TOKENS`, and so on. A variable with another name is listed with its
option; the `IRONCLAW_*` variables of the contract are used last. An empty variable counts as unset.

Option names can't be abbreviated. If an option is given twice, the last value counts, except that the values of
`--tool`, `--allow-write` and `--pass-env` add up. A switch has no value; its variable is `on` or `off`. `~` and `~user`
are expanded in all paths, including `script:~/turns.yaml`.
"""
RUN_HEADING = """\
## Options of a run

`worker` and `local` take them, and `local` passes them to its worker. In a line of a fleet's file, they are the keys of
`options`, without the dashes.
"""
HEADER = "| option | default | meaning |\n|---|---|---|\n"


def page() -> str:
    """The text of the page."""
    parts = [INTRODUCTION, *(_section(name, command) for name, command in COMMANDS.items())]
    return "\n".join([*parts, RUN_HEADING, HEADER + _rows(RUN)])


def _section(name: str, command: Command) -> str:
    shared = " It also takes the [options of a run](#options-of-a-run)." if RUN[0] in command.options else ""
    own = [option for option in command.options if option not in RUN]
    argument = f" `{command.argument['metavar']}`: {command.argument['help']}." if command.argument else ""
    summary = f"{command.summary[0].upper()}{command.summary[1:]}.{argument}{shared}"
    return f"## `{name}`\n\n{textwrap.fill(summary, COLUMNS, break_on_hyphens=False)}\n" + (
        f"\n{HEADER}{_rows(own)}" if own else ""
    )


def _rows(options: Iterable[Option]) -> str:
    rows: list[str] = []
    group = ""
    for option in options:
        if option.group != group:
            group = option.group
            rows.append(f"| **{group[0].upper()}{group[1:]}** | | |\n")
        rows.append(f"| `{f'--{option.name} {option.metavar}'.strip()}` | {_default(option)} | {_meaning(option)} |\n")
    return "".join(rows)


def _default(option: Option) -> str:
    if option.default is None:
        return "required"
    return f"`{option.default}`" if option.default else option.default_help


def _meaning(option: Option) -> str:
    variables = (option.variable if option.variable != option.usual_variable else "", option.contract_variable)
    named = ", ".join(f"`{variable}`" for variable in variables if variable)
    text = option.help.replace("|", "\\|")
    return f"{text} ({named})" if named else text


if __name__ == "__main__":
    print(page(), end="")
