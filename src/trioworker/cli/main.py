"""The command line: the parser, its help, and the exit codes of errors."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NoReturn

from trioworker.cli import option_table, subcommands
from trioworker.cli.admin_token import ADMIN_TOKEN_VARIABLE
from trioworker.cli.exit import exit_on_signal
from trioworker.cli.options import add_options
from trioworker.errors import ConfigError, OrchestratorError, WorkerError
from trioworker.observability.notices import print_notice
from trioworker.protocol.exit_codes import BAD_USAGE, NO_ORCHESTRATOR, SUCCEEDED, UNREPORTED
from trioworker.protocol.values import TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trioworker.cli.options import Option

EXIT_CODES = """\
exit codes:
  0  the job succeeded
  1  the job failed, and was reported
  2  bad usage or configuration
  3  the orchestrator refused the worker or can't be reached
  4  stopped by a signal, and reported
  5  the end of the job could not be reported
  6  a replayed job differs from the recorded one
  7  the worker died repeatedly, and the job can be resumed
"""

HEALTH_EXIT_CODES = """\
exit codes of health:
  0  the worker answers, and made progress within --max-idle
  1  the worker does not answer, or made no progress
  2  bad usage or configuration
"""

HELP_WIDTH = 160
"""Columns of the help. An option has one line, with its default and its variables."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code; see `EXIT_CODES`."""
    try:
        parsed = _parser().parse_args(arguments)
        if parsed.run is not subcommands.worker:
            exit_on_signal()
        return parsed.run(parsed)
    except OrchestratorError as error:
        return print_error(error, NO_ORCHESTRATOR)
    except WorkerError as error:
        return print_error(error, BAD_USAGE)
    except MemoryError:
        return print_error(WorkerError("memory ran out; raise the memory limit"), UNREPORTED)
    except OSError as error:
        return print_error(WorkerError(f"{error}; nothing was reported"), UNREPORTED)


def print_error(error: WorkerError, code: int) -> int:
    """Print the error to stderr on one line, and return the exit code."""
    print_notice(" ".join(str(error).split()))
    return code


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


class _Version(argparse.Action):
    """Prints the version. It is looked up only here: `importlib.metadata` is slow to import."""

    def __call__(self, *_: object, **__: object) -> None:
        from importlib.metadata import version

        print(f"trioworker {version('trioworker')}")
        raise SystemExit(SUCCEEDED)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="trioworker",
        description="Run one autonomous-agent job and report its outcome.",
        epilog=EXIT_CODES,
        formatter_class=_one_line_help,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add(
        commands,
        "worker",
        subcommands.worker,
        option_table.WORKER,
        "run the job that an orchestrator holds",
        f"The bearer token is read from {TOKEN_VARIABLE}.\n"
        "An option overrides its TRIOWORKER variable, which overrides its IRONCLAW variable.\n\n" + EXIT_CODES,
    )
    local = _add(
        commands,
        "local",
        subcommands.local,
        option_table.LOCAL,
        "run a job here, with an embedded orchestrator (extra: local)",
        "Without --state-dir, the journal is kept in the user's state folder.\n"
        "OPENAI_API_KEY, if set, is sent to an openai: server.\n\n" + EXIT_CODES,
    )
    local.add_argument("text", metavar="TEXT", nargs="?", help="the task; not needed for replay:CASSETTE")
    _add(
        commands,
        "orchestrator",
        subcommands.orchestrator,
        option_table.ORCHESTRATOR,
        "serve jobs to workers (extra: local)",
        f"The secret for managing jobs may also be in {ADMIN_TOKEN_VARIABLE}.\n\n" + EXIT_CODES,
    )
    _add(
        commands,
        "health",
        subcommands.health,
        option_table.HEALTH,
        "ask a running worker for its state",
        "Prints one line of JSON: state, job_id, iteration, idle (seconds since the last progress), tools, actors.\n\n"
        + HEALTH_EXIT_CODES,
    )
    fleet = _add(
        commands,
        "fleet",
        subcommands.fleet,
        option_table.FLEET,
        "run many jobs, each in a worker of its own",
        "The orchestrator's secret, for asking how jobs of lost workers ended, may also be in "
        f"{ADMIN_TOKEN_VARIABLE}.\n"
        "Exits with 0 if all jobs succeeded, 1 if not, 4 if it was stopped and jobs remain.\n\n" + EXIT_CODES,
    )
    fleet.add_argument("jobs", metavar="JOBS.jsonl", help="one line of JSON per job: job_id, token, …")
    return parser


def _add(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    options: Sequence[Option],
    text: str,
    epilog: str,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", formatter_class=_one_line_help, epilog=epilog
    )
    parser.set_defaults(run=run)
    add_options(parser, options)
    return parser


def _one_line_help(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=40, width=HELP_WIDTH)
