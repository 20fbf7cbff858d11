"""The command line: the parser, the subcommands and their exit codes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NoReturn

from trioworker.cli import option_table
from trioworker.cli.options import add_options, resolve, token, user_state_dir
from trioworker.errors import ConfigError, OrchestratorError, WorkerError
from trioworker.protocol.exit_codes import BAD_USAGE, NO_ORCHESTRATOR, SUCCEEDED
from trioworker.protocol.values import TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trioworker.cli.options import Option

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

EXIT_CODES = """\
exit codes:
  0  the job succeeded
  1  the job failed, and was reported
  2  bad usage or configuration
  3  the orchestrator refused us or can't be reached
  4  stopped by a signal, and reported
  5  the end of the job could not be reported
  6  a replayed job differs from the recorded one
"""

HEALTH_EXIT_CODES = """\
exit codes of health:
  0  the worker answers, and made progress within --max-idle
  1  the worker does not answer, or made no progress
  2  bad usage or configuration
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, *_: object, **__: object) -> None:
        from importlib.metadata import version

        print(f"trioworker {version('trioworker')}")
        raise SystemExit(SUCCEEDED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code; see `EXIT_CODES`."""
    try:
        parsed = _parser().parse_args(arguments)
        return parsed.run(parsed)
    except OrchestratorError as error:
        return print_error(error, NO_ORCHESTRATOR)
    except WorkerError as error:
        return print_error(error, BAD_USAGE)


def print_error(error: WorkerError, code: int) -> int:
    """Print the error to stderr on one line, and return the exit code."""
    line = " ".join(str(error).split())
    sys.stderr.write(f"trioworker: {line}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="trioworker",
        description="Run one autonomous-agent job to a reported end.",
        epilog=EXIT_CODES,
        formatter_class=_one_line_help,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add(
        commands,
        "worker",
        _worker,
        option_table.WORKER,
        "run the job that an orchestrator holds",
        f"The bearer token is read from {TOKEN_VARIABLE}.\n"
        "An option overrides its TRIOWORKER variable, which overrides its IRONCLAW variable.\n\n" + EXIT_CODES,
    )
    local = _add(
        commands,
        "local",
        _local,
        option_table.LOCAL,
        "run a job here, with an orchestrator of its own (extra: local)",
        "Without --state-dir, the journal is kept in the user's state folder.\n"
        "OPENAI_API_KEY, if set, is sent to an openai: server.\n\n" + EXIT_CODES,
    )
    local.add_argument("text", metavar="TEXT", nargs="?", help="the task; not needed for replay:CASSETTE")
    _add(
        commands,
        "orchestrator",
        _orchestrator,
        option_table.ORCHESTRATOR,
        "serve jobs to workers (extra: local)",
        EXIT_CODES,
    )
    _add(
        commands,
        "health",
        _health,
        option_table.HEALTH,
        "ask a running worker for its state",
        "Prints one line of JSON: state, job_id, iteration, idle (seconds since the last progress), tools, actors.\n\n"
        + HEALTH_EXIT_CODES,
    )
    fleet = _add(
        commands,
        "fleet",
        _fleet,
        option_table.FLEET,
        "run many jobs, each in a worker of its own",
        "Exits with 0 if all jobs succeeded, 1 if not, 4 if it was stopped and jobs are left.\n\n" + EXIT_CODES,
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
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=30, width=160)


def _worker(parsed: argparse.Namespace) -> int:
    values = resolve(option_table.WORKER, vars(parsed), os.environ)
    level, form, instrument = values.pop("log_level"), values.pop("log_format"), values.pop("instrument")
    cassette = values.pop("record")
    from trioworker.worker.config import WorkerConfig

    config = WorkerConfig(token=token(os.environ), **values)
    # A signal may arrive during the imports; as PID 1 it would be ignored, elsewhere it would end us without a report.
    early: list[int] = []
    for number in STOP_SIGNALS:
        signal.signal(number, lambda number, _: early.append(number))
    # The log has a sink of its own: loguru's default one would cost as much again, and never write a line.
    os.environ.setdefault("LOGURU_AUTOINIT", "0")
    recording = nullcontext()
    if cassette is not None:
        from trioworker.cassette.recorder import open_recorder

        recording = open_recorder(config, cassette)
    from trioworker.worker.program import run_program

    return run_program(config, level=level, form=form, early=early, instrument=instrument, recording=recording)


def _local(parsed: argparse.Namespace) -> int:
    values = resolve(option_table.LOCAL, vars(parsed), os.environ)
    passed_on = [
        f"--{option.name}={values[option.key]}" for option in option_table.RUN if values[option.key] is not None
    ]
    from trioworker.local.config import LocalConfig

    config = LocalConfig(
        text=parsed.text or "",
        workspace=values["workspace"],
        llm=values["llm"],
        state_dir=values["state_dir"] or user_state_dir(os.environ),
        title=values["title"],
        model=values["model"],
        json_lines=bool(values["json"]),
        web=bool(values["web"]),
        database=values["database"],
        worker_options=tuple(passed_on),
    )
    kind, _, cassette = config.llm.partition(":")
    if kind == "replay":
        if not cassette:
            raise ConfigError(f"--llm {config.llm}: which cassette? Name a file that `--record` wrote")
        if config.web:
            raise ConfigError("--web is for a live job: a replay has no orchestrator; leave it out")
        return _replay(config, cassette, values)
    if values["virtual_time"]:
        raise ConfigError("--virtual-time is for --llm replay:CASSETTE: a live model and real tools take real time")
    from trioworker.local.run import run_local

    return run_local(config)


def _replay(config: Any, cassette: str, values: dict[str, Any]) -> int:
    from pathlib import Path

    from trioworker.local.replay import run_replay

    return run_replay(
        config,
        Path(cassette),
        virtual_time=bool(values["virtual_time"]),
        level=values["log_level"],
        form=values["log_format"],
        record=values["record"],
        trace=values["trace"],
    )


def _orchestrator(parsed: argparse.Namespace) -> int:
    from trioworker.orchestrator.config import OrchestratorConfig
    from trioworker.orchestrator.run import run_orchestrator

    return run_orchestrator(OrchestratorConfig(**resolve(option_table.ORCHESTRATOR, vars(parsed), os.environ)))


def _health(parsed: argparse.Namespace) -> int:
    values = resolve(option_table.HEALTH, vars(parsed), os.environ)
    path = values["health_socket"]
    if path is None:
        raise ConfigError(f"--health-socket is missing: give it, or set {option_table.HEALTH_SOCKET.variable}")
    from trioworker.observability.health_check import check_health

    return check_health(path, values["max_idle"])


def _fleet(parsed: argparse.Namespace) -> int:
    from pathlib import Path

    from trioworker.fleet.run import FleetConfig, run_fleet

    values = resolve(option_table.FLEET, vars(parsed), os.environ)
    jobs = Path(parsed.jobs)
    values["results"] = values["results"] or jobs.with_suffix(".results.jsonl")
    values["parallel"] = values["parallel"] or ((os.cpu_count() or 1) if values["engine"] == "process" else 1000)
    passed_on = {option.key: option.parse for option in (option_table.STATE_DIR, *option_table.RUN)}
    return run_fleet(FleetConfig(jobs=jobs, worker_options=passed_on, **values))
