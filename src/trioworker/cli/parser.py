"""The parser of the command line, made from the table of subcommands."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NoReturn

from trioworker.cli.commands import COMMANDS, WORDS
from trioworker.cli.exit_codes import EXIT_CODES
from trioworker.cli.help_text import COMMAND_MARK, HelpFormatter
from trioworker.cli.options import add_options
from trioworker.errors import ConfigError
from trioworker.protocol.exit_codes import SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trioworker.cli.commands import Command

FIRST_STEPS = (
    'trioworker local "Make the tests pass." --llm openai:http://127.0.0.1:11434/v1 --model NAME',
    "trioworker local --help",
)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Raise a `ConfigError`."""
        option, _, problem = message.removeprefix("argument ").partition(": ")
        if problem.startswith("expected one argument"):
            message = f"{option} needs a value"
        elif problem.startswith("ignored explicit argument"):
            message = f"{option} takes no value"
        elif problem:
            message = f"{option}: {problem}"
        raise ConfigError(f"{message}; see {self.prog} --help")


class _Version(argparse.Action):
    """Prints the version. It is looked up only here: `importlib.metadata` is slow to import."""

    def __call__(self, *_: object, **__: object) -> None:
        from importlib.metadata import version

        print(f"trioworker {version('trioworker')}")
        raise SystemExit(SUCCEEDED)


def make_parser() -> Parser:
    """The parser of all subcommands."""
    parser = Parser(
        prog="trioworker",
        usage="trioworker COMMAND [OPTIONS]",
        description=f"Run one autonomous-agent job and report its outcome.\n\n{_commands()}",
        epilog=f"{EXIT_CODES}\n{_examples(FIRST_STEPS)}",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(prog="trioworker", metavar="COMMAND", required=True, help=argparse.SUPPRESS)
    for name, command in COMMANDS.items():
        metavar = command.argument.get("metavar")
        own = commands.add_parser(
            name,
            help=command.summary,
            usage=f"trioworker {name} [OPTIONS]" + (f" {metavar}" if metavar else ""),
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            epilog=_epilog(command),
            formatter_class=HelpFormatter,
            # An abbreviation is a guess that a new option can change; a suggestion is safer.
            allow_abbrev=False,
        )
        own.set_defaults(run=command.run)
        if command.argument:
            own.add_argument(**command.argument)
        add_options(own, command.options)
    return parser


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse arguments whose names of commands and options are known.

    Raises:
        ConfigError: a value or a positional argument is missing, or there are too many.
    """
    parsed, others = make_parser().parse_known_args(arguments)
    if others and not hasattr(parsed, WORDS):
        # A line break would look like a second message.
        raise ConfigError(f"unexpected argument {others[0][:60]!r}; see trioworker {arguments[0]} --help")
    if others:
        # argparse takes only the words before the next option.
        getattr(parsed, WORDS).extend(others)
    return parsed


def short_help() -> str:
    """What to do, for someone who gave no command."""
    examples = "\n".join(f"  {example}" for example in FIRST_STEPS)
    return f"usage: trioworker COMMAND [OPTIONS]\n\n{_commands()}\n\nexamples:\n{examples}\n"


def _commands() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(["commands:", *(f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items())])


def _epilog(command: Command) -> str:
    return "\n\n".join(["\n".join(command.notes), command.exit_codes.rstrip(), _examples(command.examples)])


def _examples(examples: Iterable[str]) -> str:
    return "\n".join(["examples:", *(COMMAND_MARK + example for example in examples)])
